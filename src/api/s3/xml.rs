//! Reads and writes the XML that `s3s` cannot.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use s3s::{S3Error, S3Result, s3_error};

/// The namespace of every answer but errors.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Where `xsi:type` comes from.
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// No document of S3's is nested deeper than a third of this.
const DEPTH_MAX: usize = 24;

/// An XML document under way.
#[derive(Debug)]
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// A document with one element around everything.
    pub(super) fn document(root: &str, fill: impl FnOnce(&mut Xml)) -> String {
        let mut text = String::with_capacity(4 * 1024);
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

    /// An element whose `xsi:type` says what it holds.
    pub(super) fn typed(&mut self, name: &str, kind: &str, fill: impl FnOnce(&mut Xml)) {
        for part in ["<", name, " xmlns:xsi=\"", INSTANCE, "\" xsi:type=\""] {
            self.text.push_str(part);
        }
        escape(&mut self.text, kind);
        self.text.push_str("\">");
        fill(self);
        self.close(name);
    }

    /// An element as it was read.
    pub(super) fn node(&mut self, node: &Node) {
        let inside = |xml: &mut Xml| {
            escape(&mut xml.text, &node.text);
            for child in &node.children {
                xml.node(child);
            }
        };
        match &node.kind {
            Some(kind) => self.typed(&node.name, kind, inside),
            None => self.element(&node.name, inside),
        }
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

/// An element that was read: its name without prefix, and either a text or other elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    /// Its `xsi:type`.
    pub(super) kind: Option<String>,
    /// Empty beside children: white space between elements is layout.
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

/// The answer to XML that is none, or not what it should be.
pub(super) fn malformed() -> S3Error {
    s3_error!(
        MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
}

impl Node {
    /// Reads a document. Declarations of types and entities are refused.
    pub(super) fn parse(bytes: &[u8]) -> S3Result<Node> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        // The first is not an element but what holds the root.
        let mut open = vec![Node::default()];
        loop {
            match reader.read_event().map_err(|_| malformed())? {
                Event::Start(start) => {
                    if open.len() > DEPTH_MAX {
                        return Err(malformed());
                    }
                    open.push(Node::of(&start)?);
                }
                Event::Empty(start) => {
                    let node = Node::of(&start)?;
                    open.last_mut().ok_or_else(malformed)?.children.push(node);
                }
                Event::End(_) => {
                    let mut node = open.pop().ok_or_else(malformed)?;
                    if !node.children.is_empty() {
                        node.text.clear();
                    }
                    open.last_mut().ok_or_else(malformed)?.children.push(node);
                }
                Event::Text(text) => {
                    open.last_mut().ok_or_else(malformed)?.text.push_str(&text.xml10_content());
                }
                Event::CData(text) => {
                    open.last_mut().ok_or_else(malformed)?.text.push_str(&text.xml10_content());
                }
                Event::GeneralRef(named) => {
                    let character = match named.resolve_char_ref().map_err(|_| malformed())? {
                        Some(character) => character,
                        None => match named.xml10_content().as_ref() {
                            "amp" => '&',
                            "lt" => '<',
                            "gt" => '>',
                            "quot" => '"',
                            "apos" => '\'',
                            _ => return Err(malformed()),
                        },
                    };
                    open.last_mut().ok_or_else(malformed)?.text.push(character);
                }
                Event::DocType(_) => return Err(malformed()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        let mut holder = open.pop().ok_or_else(malformed)?;
        let root = holder.children.pop().ok_or_else(malformed)?;
        if open.is_empty() && holder.children.is_empty() && holder.text.trim().is_empty() {
            Ok(root)
        } else {
            Err(malformed())
        }
    }

    fn of(start: &BytesStart<'_>) -> S3Result<Node> {
        let mut node = Node { name: local(start.name().as_ref()).to_owned(), ..Node::default() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| malformed())?;
            if local(attribute.key.as_ref()) == "type" {
                let value =
                    attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| malformed())?;
                node.kind = Some(value.into_owned());
            }
        }
        Ok(node)
    }

    /// A node with a text in it.
    pub(super) fn leaf(name: &str, text: impl Into<String>) -> Node {
        Node { name: name.to_owned(), text: text.into(), ..Node::default() }
    }

    /// The first child of that name.
    pub(super) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of that name.
    pub(super) fn all<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of that name.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// This as a document of its own, in S3's namespace.
    pub(super) fn document(&self) -> String {
        Xml::document(&self.name, |xml| {
            escape(&mut xml.text, &self.text);
            for child in &self.children {
                xml.node(child);
            }
        })
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_and_written_again() {
        let given = "<?xml version='1.0'?>\n<s:A xmlns:s='x'>\n <B>1 &lt; &#x31; &amp;<![CDATA[ <]]></B>\n \
                     <C xmlns:xsi='i' xsi:type='CanonicalUser'/>\n</s:A>\n";
        let node = Node::parse(given.as_bytes()).unwrap();
        assert_eq!(node.text_of("B"), Some("1 < 1 & <"));
        assert_eq!(node.child("C").unwrap().kind.as_deref(), Some("CanonicalUser"));
        assert_eq!(Node::parse(node.document().as_bytes()).unwrap(), node);
    }

    #[test]
    fn what_is_no_document_is_malformed() {
        let deep = "<a>".repeat(100);
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>b",
            "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
            "<a>&e;</a>",
            "</a>",
            deep.as_str(),
        ] {
            assert!(Node::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
