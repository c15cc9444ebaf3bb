//! A serial port of this computer as a link.

use crate::failure::Failure;
use lpu_firmware::Link;
use serialport::{ClearBuffer, ErrorKind as PortErrorKind, SerialPort};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

/// How long one read waits for the first byte. The driver reads several times before it sends again.
const READ_TIME: Duration = Duration::from_millis(250);

/// An open serial port: eight data bits, no parity, one stop bit, no flow control, locked against everybody else.
pub struct SerialLink {
    port: Box<dyn SerialPort>,
}

impl SerialLink {
    /// Opens the port called `name`.
    ///
    /// # Errors
    /// It is absent, in use, not permitted, or no serial port; each with what to do.
    pub fn open(name: &str, baud: u32) -> Result<SerialLink, Failure> {
        let opened = serialport::new(name, baud).timeout(READ_TIME).open();
        let port = opened.map_err(|error| unusable(name, baud, &error))?;
        // What came before this session answers nobody; a port that cannot forget it is no worse off.
        let _ = port.clear(ClearBuffer::Input);
        Ok(SerialLink { port })
    }
}

impl Link for SerialLink {
    type Error = io::Error;

    fn write(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        self.port.write_all(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, io::Error> {
        match self.port.read(buffer) {
            // The operating system says "end of file" of a port whose device is gone.
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(count),
            Err(error) => match error.kind() {
                ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            },
        }
    }
}

/// The serial ports of this computer, as part of a sentence.
pub fn existing_ports() -> String {
    let ports = serialport::available_ports().unwrap_or_default();
    let mut names: Vec<String> = ports.into_iter().map(|port| port.port_name).collect();
    names.sort();
    match names.as_slice() {
        [] => "this computer has no serial port now".into(),
        [name] => format!("this computer has {name}"),
        names => format!("this computer has {}", names.join(", ")),
    }
}

fn unusable(name: &str, baud: u32, error: &serialport::Error) -> Failure {
    let absent = !Path::new(name).exists() && cfg!(unix);
    let (why, help) = match error.kind() {
        _ if absent => (
            "there is no such port".to_string(),
            format!("connect and power the board; {}; `--port sim` simulates the board", existing_ports()),
        ),
        PortErrorKind::NoDevice => (
            "another program has the port open".to_string(),
            format!("close it (`fuser {name}` names it), then try again"),
        ),
        PortErrorKind::Io(ErrorKind::PermissionDenied) => (
            "you may not open it".to_string(),
            format!(
                "join the group that owns it (`ls -l {name}`; often `sudo usermod -aG dialout $USER`, then log in again)"
            ),
        ),
        PortErrorKind::InvalidInput => (error.to_string(), format!("give another `--baud`; {baud} is not accepted")),
        _ => (
            format!("it is no serial port that can be set to {baud} bits a second: {error}"),
            format!("check the name; {}", existing_ports()),
        ),
    };
    Failure::new("the board cannot be reached", name, why, help)
}
