//! What the guest's `/init` says on its virtio-serial port, read while it comes.
//! In: bytes as they arrive. Out: [`Frame`]s. Never waits, never touches a file.
//!
//! ```text
//! begin CASE TIMEOUT          the case starts
//! data CASE STREAM LENGTH     then LENGTH bytes and a newline
//! end CASE STATUS CENTISECONDS
//! done                        nothing comes after
//! ```

/// One message of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Case and the seconds it may take.
    Begin {
        case: usize,
        timeout: u64,
    },
    /// `out`, `err` or `dmesg` of a case; case `None` is the boot.
    Data {
        case: Option<usize>,
        stream: String,
        bytes: Vec<u8>,
    },
    /// Exit status of the case's shell, and its time in 1/100 s.
    End {
        case: usize,
        status: i32,
        centiseconds: u64,
    },
    Done,
}

/// A line that is no message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbled(pub String);

/// Takes bytes, gives the frames that are complete.
#[derive(Default)]
pub struct Reader {
    pending: Vec<u8>,
}

impl Reader {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole frame, `None` while more bytes are needed.
    pub fn next_frame(&mut self) -> Option<Result<Frame, Garbled>> {
        loop {
            let end = self.pending.iter().position(|&b| b == b'\n')?;
            let line = String::from_utf8_lossy(&self.pending[..end]).into_owned();
            let words: Vec<&str> = line.split(' ').collect();
            let garbled = || Some(Err(Garbled(line.clone())));
            let number = |s: &str| s.parse::<u64>().ok();
            match words[..] {
                [""] => {
                    self.pending.drain(..=end);
                }
                ["done"] => {
                    self.pending.drain(..=end);
                    return Some(Ok(Frame::Done));
                }
                ["begin", case, timeout] => {
                    self.pending.drain(..=end);
                    let (Some(case), Some(timeout)) = (number(case), number(timeout)) else {
                        return garbled();
                    };
                    return Some(Ok(Frame::Begin { case: case as usize, timeout }));
                }
                ["end", case, status, centiseconds] => {
                    self.pending.drain(..=end);
                    let (Some(case), Some(status), Some(centiseconds)) =
                        (number(case), number(status), number(centiseconds))
                    else {
                        return garbled();
                    };
                    return Some(Ok(Frame::End { case: case as usize, status: status as i32, centiseconds }));
                }
                ["data", case, stream, length] => {
                    let Some(length) = number(length) else {
                        self.pending.drain(..=end);
                        return garbled();
                    };
                    let start = end + 1;
                    let stop = start + length as usize;
                    if self.pending.len() < stop {
                        return None;
                    }
                    let bytes = self.pending[start..stop].to_vec();
                    let (case, stream) = (number(case).map(|n| n as usize), stream.to_string());
                    self.pending.drain(..stop);
                    return Some(Ok(Frame::Data { case, stream, bytes }));
                }
                _ => {
                    self.pending.drain(..=end);
                    return garbled();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_frames() {
        let stream = b"begin 0 20\ndata 0 out 6\na\nend \n\ndata - dmesg 0\n\nend 0 3 41\ndone\n";
        let whole = collect(&[stream]);
        assert_eq!(whole.len(), 5);
        assert_eq!(
            whole[1],
            Ok(Frame::Data { case: Some(0), stream: "out".into(), bytes: b"a\nend ".to_vec() })
        );
        assert_eq!(whole[2], Ok(Frame::Data { case: None, stream: "dmesg".into(), bytes: vec![] }));
        assert_eq!(whole[3], Ok(Frame::End { case: 0, status: 3, centiseconds: 41 }));
        for cut in 0..stream.len() {
            assert_eq!(collect(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_is_no_message_is_told_and_passed_over() {
        let frames = collect(&[b"what\ndone\n"]);
        assert_eq!(frames, [Err(Garbled("what".into())), Ok(Frame::Done)]);
    }

    fn collect(parts: &[&[u8]]) -> Vec<Result<Frame, Garbled>> {
        let mut reader = Reader::default();
        let mut frames = Vec::new();
        for part in parts {
            reader.feed(part);
            while let Some(frame) = reader.next_frame() {
                frames.push(frame);
            }
        }
        frames
    }
}
