//! Receipts: what a receiver shows to delete or to hide what it was handed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::id::random_text;

/// Proof of one receive of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(super) queue: i64,
    pub(super) message: i64,
    /// New for every receive.
    pub(super) nonce: String,
}

/// A text that is not a receipt of this queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a receipt of this queue")]
pub struct BadReceipt {
    pub given: String,
}

const MARK: &str = "AQEB";
const NONCE_LENGTH: usize = 24;

pub(super) fn new_nonce() -> String {
    random_text(NONCE_LENGTH)
}

impl Receipt {
    pub(super) fn parse(given: &str) -> Result<Receipt, BadReceipt> {
        Receipt::read(given).ok_or_else(|| BadReceipt { given: given.to_owned() })
    }

    fn read(given: &str) -> Option<Receipt> {
        let bytes = URL_SAFE_NO_PAD.decode(given.strip_prefix(MARK)?).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(3, '.');
        let (queue, message) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let nonce = parts.next().filter(|nonce| nonce.len() == NONCE_LENGTH)?.to_owned();
        Some(Receipt { queue, message, nonce })
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{}.{}", self.queue, self.message, self.nonce);
        write!(f, "{MARK}{}", URL_SAFE_NO_PAD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_back_and_another_text_is_not() {
        let receipt = Receipt { queue: 3, message: 77, nonce: new_nonce() };
        assert_eq!(Receipt::parse(&receipt.to_string()), Ok(receipt));
        for bad in ["", "AQEB", "nonsense", "AQEBMS4yLng"] {
            assert!(Receipt::parse(bad).is_err(), "{bad}");
        }
    }
}
