//! Writes the XML that `s3s` cannot.

/// The namespace of every answer but errors.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// An XML document under way.
#[derive(Debug)]
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// A document with one element around everything.
    pub(super) fn document(root: &str, fill: impl FnOnce(&mut Xml)) -> String {
        let mut text = String::with_capacity(64 * 1024);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let mut xml = Xml { text };
        for part in ["<", root, " xmlns=\"", NAMESPACE, "\">"] {
            xml.text.push_str(part);
        }
        fill(&mut xml);
        xml.close(root);
        xml.text
    }

    /// An element with others in it.
    pub(super) fn element(&mut self, name: &str, fill: impl FnOnce(&mut Xml)) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
        fill(self);
        self.close(name);
    }

    /// An element with a text in it.
    pub(super) fn leaf(&mut self, name: &str, value: &str) {
        self.element(name, |xml| escape(&mut xml.text, value));
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// AWS: control characters that XML 1.0 forbids are written as references all the same; keys may hold them.
pub(super) fn escape(into: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\0'..='\u{1f}' => into.push_str(&reference(character)),
            _ => into.push(character),
        }
    }
}

fn reference(character: char) -> String {
    format!("&#x{:x};", u32::from(character))
}

/// An answer with that document as its body.
pub(super) fn answer(document: String) -> http::Response<s3s::Body> {
    let mut response = http::Response::new(s3s::Body::from(document));
    let kind = http::HeaderValue::from_static("application/xml");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
