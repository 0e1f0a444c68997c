//! What a bad client may say, and what it is told: one row a case.
//!
//! Used by [`super`]. Each case is said on a fresh connection that was welcomed.

use super::super::support::raw_frames::{
    BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, RawMessage, TEXT, close, text,
};

/// Bytes of one message at most, by default.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Answered by an error, which shows that it was read.
const HARMLESS: &str = r#"{"subscribe":{"topic":"nonsense"}}"#;

/// What must come of a case.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// A close with one of these codes.
    Closed(&'static [u16]),
    /// A text that contains this; the connection lives.
    Answered(&'static str),
    /// The client has said goodbye, badly: a close with one of these codes, or the end without a word.
    Parted(&'static [u16]),
}

impl Expected {
    /// True for the answer after which nothing more is waited for.
    pub fn is_answer(self, heard: &RawMessage) -> bool {
        match (self, heard) {
            (Self::Answered(words), RawMessage::Text(text)) => text.contains(words),
            _ => false,
        }
    }

    /// True for the end that must come.
    pub fn is_end(self, heard: &RawMessage) -> bool {
        match (self, heard) {
            (Self::Closed(codes), RawMessage::Close { code, .. }) => {
                code.is_some_and(|code| codes.contains(&code))
            }
            (Self::Parted(codes), RawMessage::Close { code, .. }) => {
                code.is_none_or(|code| codes.contains(&code))
            }
            (Self::Parted(_), RawMessage::Fin | RawMessage::Reset) => true,
            _ => false,
        }
    }
}

/// Name, bytes, and what must come of them.
pub type Case = (String, Vec<u8>, Expected);

/// All of them.
pub fn all() -> Vec<Case> {
    [broken_frames(), broken_text(), too_large(), no_frames(), floods(), odd_but_right(), goodbyes()].concat()
}

fn case(name: impl Into<String>, bytes: impl Into<Vec<u8>>, expected: Expected) -> Case {
    (name.into(), bytes.into(), expected)
}

/// A message in pieces.
fn pieces(parts: &[&[u8]]) -> Vec<u8> {
    let last = parts.len() - 1;
    let frame = |(at, part): (usize, &&[u8])| {
        let frame = Frame::of(if at == 0 { TEXT } else { CONTINUATION });
        (if at == last { frame } else { frame.unfinished() }).carrying(part)
    };
    parts.iter().enumerate().flat_map(frame).collect()
}

fn broken_frames() -> Vec<Case> {
    let refused = Expected::Closed(&[1002]);
    let words = HARMLESS.as_bytes();
    let begun = Frame::of(TEXT).unfinished().carrying(b"{");
    let mut cases: Vec<Case> = Vec::new();
    for bits in [4, 2, 1] {
        let frame = Frame::of(TEXT).reserved(bits);
        cases.push(case(format!("reserved bits {bits:03b}"), frame.carrying(words), refused));
    }
    for opcode in [3, 7, 11, 15] {
        cases.push(case(format!("opcode {opcode}"), Frame::of(opcode).carrying(b""), refused));
    }
    for (name, opcode) in [("ping", PING), ("pong", PONG), ("close", CLOSE)] {
        cases.push(case(format!("a {name} of 126 bytes"), Frame::of(opcode).carrying(&[b'a'; 126]), refused));
        let frame = Frame::of(opcode).unfinished();
        cases.push(case(format!("a {name} in fragments"), frame.carrying(b""), refused));
    }
    let after = |opcode| [begun.clone(), Frame::of(opcode).carrying(words)].concat();
    cases.extend([
        case("unmasked", Frame::of(TEXT).unmasked().carrying(words), refused),
        case("unmasked ping", Frame::of(PING).unmasked().carrying(b""), refused),
        case("a continuation without a start", Frame::of(CONTINUATION).carrying(words), refused),
        case("a text inside a fragmented one", after(TEXT), refused),
        case("a binary inside a fragmented text", after(BINARY), refused),
        case("noise", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n".as_slice(), refused),
    ]);
    cases
}

fn broken_text() -> Vec<Case> {
    let wrong: [(&str, &[u8]); 5] = [
        ("a lone start byte", b"{\"subscribe\":{\"topic\":\"\xc3\x28\"}}"),
        ("an overlong form", b"{\"subscribe\":{\"topic\":\"\xc0\xaf\"}}"),
        ("a surrogate", b"{\"subscribe\":{\"topic\":\"\xed\xa0\x80\"}}"),
        ("beyond U+10FFFF", b"{\"subscribe\":{\"topic\":\"\xf4\x90\x80\x80\"}}"),
        ("cut off in a character", b"{\"subscribe\":{\"topic\":\"\xe2\x82"),
    ];
    let mut cases = Vec::new();
    for (name, bytes) in wrong {
        let whole = Frame::of(TEXT).carrying(bytes);
        cases.push(case(format!("no UTF-8: {name}"), whole, Expected::Closed(&[1007])));
        let (start, end) = bytes.split_at(bytes.len() - 4);
        let split = pieces(&[start, end]);
        cases.push(case(format!("no UTF-8, in fragments: {name}"), split, Expected::Closed(&[1007])));
    }
    cases
}

fn too_large() -> Vec<Case> {
    let refused = Expected::Closed(&[1009]);
    let padded = |bytes: usize| HARMLESS.to_owned() + &" ".repeat(bytes - HARMLESS.len());
    let endless: Vec<u8> = std::iter::once(Frame::of(TEXT).unfinished().carrying(b"{"))
        .chain((0..10_000).map(|_| Frame::of(CONTINUATION).unfinished().carrying(&[b' '; 1024])))
        .flatten()
        .collect();
    let announced = Frame::of(TEXT).announcing(1 << 63).carrying(b"{");
    let binary = Frame::of(BINARY).carrying(&[0; 64 * 1024 + 1]);
    let (most, more) = (padded(MESSAGE_BYTES_MAX), padded(MESSAGE_BYTES_MAX + 1));
    vec![
        case("64 KiB and a byte", text(&padded(64 * 1024 + 1)), refused),
        case("a byte too many", text(&more), refused),
        case("a byte too many, in fragments", pieces(&[most.as_bytes(), b" "]), refused),
        case("as much as may be", text(&most), Expected::Answered("not_found")),
        case("2^62 bytes announced", Frame::of(TEXT).announcing(1 << 62).carrying(b"{"), refused),
        case("2^63 bytes announced", announced, Expected::Closed(&[1002, 1009])),
        case("64 KiB and a byte, binary", binary, Expected::Closed(&[1009, 4400])),
        case("endless fragments", endless, refused),
    ]
}

fn no_frames() -> Vec<Case> {
    let refused = Expected::Closed(&[4400]);
    let deep = "[".repeat(8_000);
    let deep_object = r#"{"subscribe":"#.repeat(600);
    let mut words =
        vec!["", " ", "{}", "[]", "null", "true", "5", "\"pong\"", "{", "\0\0\0\0", "{\"pong\":{}}\0"];
    words.extend([deep.as_str(), deep_object.as_str(), "{\"pong\":{}} x", "{\"pong\":{}}{\"pong\":{}}"]);
    words.extend(["\u{feff}{\"pong\":{}}", r#"{'pong':{}}"#, r#"{"hello":{}}"#, r#"{"ping":{}}"#]);
    words.extend([
        r#"{"pong":null}"#,
        r#"{"pong":[]}"#,
        r#"{"pong":{"x":1}}"#,
        r#"{"pong":{},"pace":{"hz":1}}"#,
    ]);
    words.extend([r#"{"subscribe":null}"#, r#"{"subscribe":{}}"#, r#"{"subscribe":["nodes",1]}"#]);
    words.extend([r#"{"subscribe":{"topic":5}}"#, r#"{"subscribe":{"topic":"nodes","x":1}}"#]);
    words.extend([
        r#"{"subscribe":{"topic":"nodes","topic":"nodes"}}"#,
        r#"{"subscribe":{"topic":"\ud800"}}"#,
    ]);
    words.extend([r#"{"unsubscribe":{"topic":"nodes","rev":1}}"#, r#"{"unsubscribe":{"topic":null}}"#]);
    words.extend([r#"{"pace":{"hz":-1}}"#, r#"{"pace":{"hz":1e999}}"#, r#"{"pace":{"hz":null}}"#]);
    words.extend([r#"{"pace":{"hz":"x"}}"#, r#"{"pace":{"hz":NaN}}"#, r#"{"pace":{}}"#, r#"{"pace":[1]}"#]);
    let mut cases: Vec<Case> = words
        .into_iter()
        .map(|words| {
            let name = words.get(..60).unwrap_or(words).to_owned();
            case(format!("text {name:?}"), text(words), refused)
        })
        .collect();
    for rev in ["-1", "1e30", "\"5\"", "1.5", "18446744073709551616", "true", "[1]"] {
        let words = format!(r#"{{"subscribe":{{"topic":"nodes","rev":{rev}}}}}"#);
        cases.push(case(format!("rev {rev}"), text(&words), refused));
    }
    cases.push(case("binary", Frame::of(BINARY).carrying(b"{\"pong\":{}}"), refused));
    cases.push(case("binary of nothing", Frame::of(BINARY).carrying(b""), refused));
    cases
}

/// A message with so many frames in it that carry nothing.
fn empty(fragments: usize) -> Vec<u8> {
    [
        Frame::of(TEXT).unfinished().carrying(b""),
        Frame::of(CONTINUATION).unfinished().carrying(b"").repeat(fragments),
        Frame::of(CONTINUATION).carrying(HARMLESS.as_bytes()),
    ]
    .concat()
}

fn floods() -> Vec<Case> {
    let refused = Expected::Closed(&[4429]);
    let subscribes = (0..10_000).map(|at| format!(r#"{{"subscribe":{{"topic":"nonsense/{at}"}}}}"#));
    let real = r#"{"subscribe":{"topic":"batches"}}"#;
    vec![
        case("10,000 subscribes", subscribes.flat_map(|words| text(&words)).collect::<Vec<u8>>(), refused),
        case("10,000 subscribes to one topic", text(real).repeat(10_000), refused),
        case("150 messages at once", text(r#"{"pong":{}}"#).repeat(150), refused),
        case("10,000 pings", Frame::of(PING).carrying(&[b'a'; 125]).repeat(10_000), refused),
        case("20,000 empty fragments", empty(20_000), refused),
        case("300 empty fragments", empty(300), refused),
        case("10,000 pongs", Frame::of(PONG).carrying(b"").repeat(10_000), refused),
    ]
}

fn odd_but_right() -> Vec<Case> {
    let answered = Expected::Answered("not_found");
    let long = format!(r#"{{"subscribe":{{"topic":"{}"}}}}"#, "a".repeat(7 * 1024));
    let bytes: Vec<&[u8]> = HARMLESS.as_bytes().chunks(1).collect();
    let umlaut = "{\"subscribe\":{\"topic\":\"nonsense/ä\"}}".as_bytes().split_at(33);
    let between = [
        Frame::of(TEXT).unfinished().carrying(b"{\"subscribe\":"),
        Frame::of(PING).carrying(b"between"),
        Frame::of(CONTINUATION).carrying(b"{\"topic\":\"nonsense\"}}"),
    ];
    let mut cases = vec![
        case("a topic of 7 KiB", text(&long), answered),
        case("a byte a fragment", pieces(&bytes), answered),
        case("a character over two fragments", pieces(&[umlaut.0, umlaut.1]), answered),
        case("a ping between fragments", between.concat(), answered),
        case("200 empty fragments", empty(200), answered),
    ];
    for before in [
        r#"{"unsubscribe":{"topic":"nonsense"}}"#,
        r#"{"pace":{"hz":0}}"#,
        r#"{"pace":{"hz":1e300}}"#,
        r#"{"pace":{"hz":1e-300}}"#,
        "\t{ \"pong\" : { } }\r\n",
    ] {
        cases.push(case(before, [text(before), text(HARMLESS)].concat(), answered));
    }
    for rev in ["0", "9223372036854775808", "18446744073709551615"] {
        let words = format!(r#"{{"subscribe":{{"topic":"nodes","rev":{rev}}}}}"#);
        cases.push(case(format!("rev {rev}"), text(&words), Expected::Answered("{\"snapshot\":")));
    }
    cases
}

fn goodbyes() -> Vec<Case> {
    let mut cases = vec![
        case("a goodbye", close(1000, b"thanks"), Expected::Closed(&[1000])),
        case("a goodbye without a code", Frame::of(CLOSE).carrying(b""), Expected::Parted(&[1000])),
        case("a goodbye of one byte", Frame::of(CLOSE).carrying(b"\x03"), Expected::Parted(&[1002])),
        case("a goodbye that is no UTF-8", close(1000, b"\xff\xfe"), Expected::Parted(&[1002, 1007])),
        case(
            "more after a goodbye",
            [close(1000, b""), text("{").repeat(50)].concat(),
            Expected::Closed(&[1000]),
        ),
    ];
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535] {
        cases.push(case(format!("a goodbye with {code}"), close(code, b""), Expected::Parted(&[1002])));
    }
    cases
}
