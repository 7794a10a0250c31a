//! Accepts clients that send the path of the socket as `:authority`, as C-core does for `unix:` targets.
//!
//! The crate h2 refuses such a request, because `%` and `/` are invalid there (RFC 3986, section 3.2; see
//! [hyperium/h2 442](https://github.com/hyperium/h2/issues/442)). Nothing reads the authority on a Unix socket. So both
//! bytes become `-` before h2 sees them. Neither the length of the request nor its HPACK table changes.

const PREFACE_BYTES: usize = 24;
const FRAME_HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;

const NAME: &[u8] = b":authority";
/// The index of `:authority` in the static table (RFC 7541, appendix A).
const STATIC_INDEX: usize = 1;

/// Replaces the invalid bytes in what a client sends.
#[derive(Debug)]
pub struct AuthorityFilter {
    frame: Frame,
    fields: Fields,
}

/// The next part of the input.
#[derive(Debug)]
enum Frame {
    /// The rest of a header of a frame.
    Header { bytes: [u8; FRAME_HEADER_BYTES], filled: usize },
    /// The length of the padding of a header block of `left` bytes, and the rest of the block.
    PadLength { left: usize, priority: usize },
    /// The header fields, and then bytes to skip.
    Fields { skip: usize, left: usize, padding: usize },
    /// Bytes that are not header fields.
    Skip { left: usize },
}

impl AuthorityFilter {
    pub fn new() -> Self {
        Self { frame: Frame::Skip { left: PREFACE_BYTES }, fields: Fields::default() }
    }

    /// Replaces the invalid bytes in the next bytes of the connection.
    pub fn filter(&mut self, mut bytes: &mut [u8]) {
        while let [first, ..] = bytes {
            let used = match &mut self.frame {
                Frame::Header { bytes: header, filled } => {
                    header[*filled] = *first;
                    *filled += 1;
                    if *filled == FRAME_HEADER_BYTES {
                        let header = *header;
                        self.begin(&header);
                    }
                    1
                }
                Frame::PadLength { left, priority } => {
                    let padding = usize::from(*first).min(*left);
                    self.frame = Frame::Fields { skip: *priority, left: *left - padding, padding };
                    1
                }
                Frame::Fields { skip, left, padding } => {
                    if *left == 0 {
                        self.frame = Frame::Skip { left: *padding };
                    } else {
                        *left -= 1;
                        if *skip > 0 {
                            *skip -= 1;
                        } else {
                            self.fields.filter(first);
                        }
                        bytes = &mut bytes[1..];
                    }
                    continue;
                }
                Frame::Skip { left: 0 } => {
                    self.frame = Frame::Header { bytes: [0; FRAME_HEADER_BYTES], filled: 0 };
                    continue;
                }
                Frame::Skip { left } => {
                    let used = (*left).min(bytes.len());
                    *left -= used;
                    used
                }
            };
            bytes = &mut bytes[used..];
        }
    }

    fn begin(&mut self, header: &[u8; FRAME_HEADER_BYTES]) {
        let [a, b, c, kind, flags, ..] = *header;
        let left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.frame = match kind {
            HEADERS => {
                self.fields = Fields::default();
                let priority = if flags & PRIORITY == 0 { 0 } else { PRIORITY_BYTES };
                if flags & PADDED == 0 || left == 0 {
                    Frame::Fields { skip: priority, left, padding: 0 }
                } else {
                    Frame::PadLength { left: left - 1, priority }
                }
            }
            CONTINUATION => Frame::Fields { skip: 0, left, padding: 0 },
            _ => Frame::Skip { left },
        };
    }
}

/// A header block (RFC 7541, section 6), one byte after the other.
#[derive(Debug, Default)]
struct Fields {
    step: Step,
    is_authority: bool,
}

#[derive(Debug, Default)]
enum Step {
    /// The first byte of a field.
    #[default]
    Field,
    /// The rest of an integer.
    Integer { value: usize, shift: u32, of: Integer },
    /// The first byte of the length of a string.
    Length { of: Text },
    /// The bytes of a string.
    String { left: usize, position: usize, of: Text, is_plain: bool },
}

#[derive(Clone, Copy, Debug)]
enum Integer {
    /// An index of a whole field, or the size of the table.
    Whole,
    /// The index of a name.
    Name,
    /// The length of a string.
    Length { of: Text, is_plain: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Name,
    Value,
}

impl Fields {
    fn filter(&mut self, byte: &mut u8) {
        match &mut self.step {
            Step::Field => {
                self.is_authority = false;
                let (prefix, of) = match *byte {
                    0x80.. => (0x7f, Integer::Whole),
                    0x40.. => (0x3f, Integer::Name),
                    0x20.. => (0x1f, Integer::Whole),
                    _ => (0x0f, Integer::Name),
                };
                self.begin_integer(*byte, prefix, of);
            }
            Step::Length { of } => {
                let of = Integer::Length { of: *of, is_plain: *byte & 0x80 == 0 };
                self.begin_integer(*byte, 0x7f, of);
            }
            Step::Integer { value, shift, of } => {
                let part = usize::from(*byte & 0x7f).checked_shl(*shift).unwrap_or(usize::MAX);
                *value = value.saturating_add(part);
                *shift = shift.saturating_add(7);
                let (value, of) = (*value, *of);
                if *byte & 0x80 == 0 {
                    self.end_integer(value, of);
                }
            }
            Step::String { left, position, of, is_plain } => {
                match of {
                    Text::Name => self.is_authority &= NAME.get(*position) == Some(byte),
                    Text::Value if self.is_authority && *is_plain && matches!(byte, b'%' | b'/') => *byte = b'-',
                    Text::Value => {}
                }
                *position += 1;
                *left -= 1;
                if *left == 0 {
                    let of = *of;
                    self.end_string(of);
                }
            }
        }
    }

    fn begin_integer(&mut self, byte: u8, prefix: u8, of: Integer) {
        let value = usize::from(byte & prefix);
        if value == usize::from(prefix) {
            self.step = Step::Integer { value, shift: 0, of };
        } else {
            self.end_integer(value, of);
        }
    }

    fn end_integer(&mut self, value: usize, of: Integer) {
        self.step = match of {
            Integer::Whole => Step::Field,
            Integer::Name if value == 0 => Step::Length { of: Text::Name },
            Integer::Name => {
                self.is_authority = value == STATIC_INDEX;
                Step::Length { of: Text::Value }
            }
            Integer::Length { of, is_plain } => {
                if of == Text::Name {
                    self.is_authority = is_plain && value == NAME.len();
                }
                if value == 0 {
                    return self.end_string(of);
                }
                Step::String { left: value, position: 0, of, is_plain }
            }
        };
    }

    fn end_string(&mut self, of: Text) {
        self.step = match of {
            Text::Name => Step::Length { of: Text::Value },
            Text::Value => Step::Field,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn literal(first: u8, name: &str, value: &str) -> Vec<u8> {
        let length = |text: &str| u8::try_from(text.len()).unwrap();
        [&[first, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
    }

    fn indexed_name(first: u8, value: &str) -> Vec<u8> {
        [&[first, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
    }

    /// Returns what arrives, with the input in pieces of each length.
    fn filtered(frames: &[Vec<u8>]) -> Vec<u8> {
        let input = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frames.concat()].concat();
        let whole = filtered_in_pieces(&input, input.len());
        for length in 1..input.len() {
            assert_eq!(filtered_in_pieces(&input, length), whole, "in pieces of {length} bytes");
        }
        whole[PREFACE_BYTES..].to_vec()
    }

    fn filtered_in_pieces(input: &[u8], length: usize) -> Vec<u8> {
        let (mut filter, mut output) = (AuthorityFilter::new(), input.to_vec());
        output.chunks_mut(length).for_each(|piece| filter.filter(piece));
        output
    }

    #[test]
    fn the_bytes_of_a_path_are_replaced_in_the_authority_only() {
        let block = |authority: &str| {
            let path = "%2Frun/app".repeat(20);
            let long = [&[0x0f, 0x2f][..], &[0x7f, 73], path.as_bytes()].concat(); // index 62, length 200
            let fields = [
                vec![0x3f, 0xe1, 0x1f, 0x83], // a new size of the table, and :method POST
                literal(0x40, ":path", "/a%2Fb"),
                literal(0x40, ":authority", authority),
                literal(0x10, "authority", "/a%2Fb"),
                indexed_name(0x41, authority),
                indexed_name(0x01, authority),
                indexed_name(0x44, "/a%2Fb"),
                literal(0x00, "", ""),
                long,
                literal(0x40, ":authority", authority),
                vec![0xff, 0x05], // an index of two bytes
            ];
            fields.concat()
        };
        let frames = |authority: &str| {
            let block = block(authority);
            let (first, second) = block.split_at(40);
            let padded = [&[3], &[0; PRIORITY_BYTES][..], &block, &[0; 3]].concat();
            vec![
                frame(4, 0, &[]),
                frame(HEADERS, 0x04, &block),
                frame(0, 0, b"\0\0\0\0\x05/%a/%"),
                frame(HEADERS, 0, first),
                frame(CONTINUATION, 0x04, second),
                frame(HEADERS, 0x04 | PADDED | PRIORITY, &padded),
                frame(HEADERS, 0x04, &block),
            ]
        };
        assert_eq!(filtered(&frames("%2Frun/app%3A0")), frames("-2Frun-app-3A0").concat());
    }

    #[test]
    fn a_string_in_huffman_code_stays_as_it_is() {
        let huffman = vec![0x41, 0x85, b'%', b'/', b'%', b'/', b'%'];
        let frames = [frame(HEADERS, 0x04, &huffman)];
        assert_eq!(filtered(&frames), frames.concat());
    }

    #[test]
    fn invalid_lengths_do_not_stop_the_next_frame() {
        let endless = [vec![0x41, 0x7f], vec![0xff; 40]].concat();
        let frames = |authority: &str| {
            vec![
                frame(HEADERS, 0x04 | PADDED, &[]),
                frame(HEADERS, 0x04 | PADDED, &[200, 0x41, 1]),
                frame(HEADERS, 0x04 | PRIORITY, &[0; 2]),
                frame(HEADERS, 0x04, &endless),
                frame(HEADERS, 0x04, &indexed_name(0x41, authority)),
            ]
        };
        assert_eq!(filtered(&frames("/")), frames("-").concat());
    }
}
