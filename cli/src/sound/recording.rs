//! Samples from a WAV file, from standard input, or from a microphone.

use super::SAMPLE_RATE;
use crate::failure::Failure;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Programs that write what a microphone hears to standard output, and their arguments for raw 16-bit samples.
const RECORDERS: [(&str, &[&str]); 4] = [
    ("arecord", &["-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "16000"]),
    ("parec", &["--raw", "--format=s16le", "--channels=1", "--rate=16000"]),
    ("pw-record", &["--format=s16", "--channels=1", "--rate=16000", "-"]),
    ("rec", &["-q", "-t", "raw", "-b", "16", "-e", "signed-integer", "-c", "1", "-r", "16000", "-"]),
];

/// The samples of the WAV file at `path`, the mean of all channels where there are several.
///
/// # Errors
/// A file that cannot be read, is no WAV file, or has another sample rate.
pub fn read(path: &Path) -> Result<Vec<i16>, Failure> {
    let refused = |why: &dyn std::fmt::Display, help: &str| {
        Failure::new("the recording cannot be used", path.display(), why, help)
    };
    let convert = format!("convert it: `ffmpeg -i {} -ar {SAMPLE_RATE} -ac 1 OUT.wav`", path.display());
    let damaged = |error: hound::Error| match error {
        hound::Error::IoError(error) if error.kind() == std::io::ErrorKind::NotFound => {
            refused(&error, "check the path")
        }
        error => refused(&error, &convert),
    };
    let mut reader = hound::WavReader::open(path).map_err(damaged)?;
    let format = reader.spec();
    if format.sample_rate != SAMPLE_RATE {
        let why = format!("it has {} samples a second, the networks listen to {SAMPLE_RATE}", format.sample_rate);
        return Err(refused(&why, &convert));
    }
    let samples: Vec<f32> = match format.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>().map_err(damaged)?,
        hound::SampleFormat::Int => {
            let one = (1i64 << (u32::from(format.bits_per_sample).clamp(1, 32) - 1)) as f32;
            let samples: Vec<i32> = reader.samples::<i32>().collect::<Result<_, _>>().map_err(damaged)?;
            samples.into_iter().map(|sample| sample as f32 / one).collect()
        }
    };
    if samples.iter().any(|sample| !sample.is_finite()) {
        return Err(refused(&"a sample of it is no number", &convert));
    }
    let channels = usize::from(format.channels.max(1));
    let mean = |frame: &[f32]| frame.iter().sum::<f32>() / channels as f32;
    // Sixteen bits go through unchanged: they fit into a float's mantissa.
    Ok(samples.chunks_exact(channels).map(|frame| (mean(frame) * 32768.0).round() as i16).collect())
}

/// Raw samples as they come: 16 bits, little end first, one channel.
pub struct Live {
    source: Box<dyn Read>,
    recorder: Option<Child>,
}

impl Live {
    /// Samples that another program writes to standard input.
    pub fn standard_input() -> Live {
        Live { source: Box::new(std::io::stdin()), recorder: None }
    }

    /// Samples of the microphone, by the first recording program that there is.
    ///
    /// # Errors
    /// No such program.
    pub fn microphone() -> Result<Live, Failure> {
        for (program, arguments) in RECORDERS {
            let started = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
            if let Ok(mut recorder) = started
                && let Some(source) = recorder.stdout.take()
            {
                return Ok(Live { source: Box::new(source), recorder: Some(recorder) });
            }
        }
        let programs: Vec<&str> = RECORDERS.iter().map(|(program, _)| *program).collect();
        Err(Failure::new(
            "there is nothing to listen with",
            "--microphone",
            format!("none of the recording programs is installed: {}", programs.join(", ")),
            "install one of them (package alsa-utils has arecord), or pipe raw samples in: `… | lpu listen - --model MODEL`",
        ))
    }

    /// Fills `samples`; false at the end of the recording.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn fill(&mut self, samples: &mut [i16]) -> Result<bool, Failure> {
        let mut bytes = vec![0; 2 * samples.len()];
        match self.source.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => {
                return Err(Failure::new("the recording broke off", "input", error, "start the recording again"));
            }
        }
        for (sample, pair) in samples.iter_mut().zip(bytes.chunks_exact(2)) {
            *sample = i16::from_le_bytes([pair[0], pair[1]]);
        }
        Ok(true)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(mut recorder) = self.recorder.take() {
            // It may have ended by itself.
            let _ = recorder.kill();
            let _ = recorder.wait();
        }
    }
}

/// Shows a line that replaces itself on a terminal.
pub fn show_live(line: &str) {
    let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    fn written(spec: hound::WavSpec, samples: &[i32]) -> Result<Vec<i16>, Failure> {
        let directory = tempdir().unwrap();
        let path = directory.path().join("a.wav");
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for &sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        read(&path)
    }

    fn spec(channels: u16, sample_rate: u32, bits_per_sample: u16) -> hound::WavSpec {
        hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format: hound::SampleFormat::Int }
    }

    #[test]
    fn sixteen_bits_go_through_unchanged() {
        let samples = [0, 1, -1, 32767, -32768, 12345];
        assert_eq!(written(spec(1, 16_000, 16), &samples).unwrap(), samples.map(|sample| sample as i16));
    }

    #[test]
    fn channels_are_mixed_and_other_widths_scaled() {
        assert_eq!(written(spec(2, 16_000, 16), &[100, 300, -5, 5]).unwrap(), [200, 0]);
        assert_eq!(written(spec(1, 16_000, 24), &[256 * 77, -256]).unwrap(), [77, -1]);
    }

    #[test]
    fn another_rate_is_refused_with_a_way_round() {
        let text = format!("{:?}", written(spec(1, 44_100, 16), &[0; 10]).unwrap_err());
        assert!(text.contains("44100 samples a second") && text.contains("ffmpeg"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_recording_is_refused() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("a.wav");
        std::fs::write(&path, b"RIFF\x10\0\0\0WAVEfmt ").unwrap();
        assert!(read(&path).is_err());
    }
}
