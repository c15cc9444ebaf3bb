//! `lpu listen`: a wake-word network hears a recording or a microphone.

use crate::cache;
use crate::chart::{bar, curve};
use crate::failure::{Failure, Verdict};
use crate::machine::{Machine, OptionalMachine};
use crate::network;
use crate::output::{count, duration, pairs, print, print_json, remark};
use crate::sound::recording::{self, Live, show_live};
use crate::sound::{BANDS, FEATURE_SCALE, FrontEnd, SAMPLE_RATE, STEP, WINDOW};
use crate::stepper::{Loaded, Stepper, real};
use crate::witnesses::Backend;
use lpu_compiler::graph::Tensor;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Characters of the curve.
const WIDTH: usize = 66;
/// What counts as heard where neither the command line nor the network's description says.
const CUTOFF: f64 = 0.5;

/// Listen for a wake word: the front end on the host, the network on the chosen backend
///
/// The network is one of microWakeWord's kind: its input are some frames of 40 features, its output the probability that the word
/// has just been spoken. MODEL.json beside it, as microWakeWord publishes, gives the cutoff.
///
/// Exit status 1 where an output or a cycle count differs from the golden model's or from the prediction.
#[derive(Debug, clap::Args)]
#[command(after_long_help = cache::HELP)]
pub struct Arguments {
    /// The recording: a WAV file of 16,000 samples a second; - for raw 16-bit samples from standard input
    #[arg(value_name = "FILE.wav", required_unless_present = "microphone")]
    recording: Option<PathBuf>,
    /// The network: a TensorFlow Lite or ONNX model, quantised to int8
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// Listen to the microphone until interrupted
    #[arg(long, conflicts_with = "recording")]
    microphone: bool,
    /// What to run the network on
    #[arg(long, value_enum, default_value = "golden")]
    on: Backend,
    /// From which probability on the word counts as heard [default: MODEL.json's, else 0.5]
    #[arg(long, value_name = "P")]
    cutoff: Option<f64>,
    #[command(flatten)]
    machine: OptionalMachine,
    /// Print one JSON object and nothing else
    #[arg(long, conflicts_with = "microphone")]
    json: bool,
}

/// What `--json` prints. The names are a contract.
#[derive(Debug, Serialize)]
struct Report {
    /// Name of the network.
    model: String,
    /// Name of the board or configuration.
    board: String,
    /// What the network ran on.
    backend: Backend,
    /// Length of the recording.
    seconds: f64,
    /// Time from one step of the network to the next.
    seconds_per_step: f64,
    /// What the network said at each step, 0 to 1.
    probabilities: Vec<f64>,
    /// From where on the word counts as heard.
    cutoff: f64,
    /// Where the mean of the last steps came above the cutoff, in seconds.
    heard_at: Vec<f64>,
    /// Cycles of one step that the compiler promises. None where only the golden model executes the network so far.
    cycles_predicted: Option<u64>,
    /// Time that a step takes at the board's clock ÷ time between two steps.
    real_time_factor: Option<f64>,
    /// Are all outputs the golden model's, and all cycles as predicted?
    outputs_equal_golden: bool,
}

/// What microWakeWord publishes beside a network.
#[derive(Debug, Default, Deserialize)]
struct Description {
    wake_word: Option<String>,
    #[serde(default)]
    micro: Detection,
}

/// When a word counts as heard.
#[derive(Debug, Default, Deserialize)]
struct Detection {
    probability_cutoff: Option<f64>,
    sliding_window_size: Option<usize>,
}

/// The network as a listener.
struct Listener<'a> {
    stepper: Stepper<'a>,
    front_end: FrontEnd,
    input: &'a Tensor,
    output: &'a Tensor,
    frames: usize,
    detector: Detector,
}

/// Follows the mean of the last steps.
struct Detector {
    cutoff: f64,
    window: usize,
    last: Vec<f64>,
    above: bool,
}

/// Listens.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let machine = network::settle(arguments.machine.resolve()?, &arguments.model);
    let model = &arguments.model;
    let loaded = Loaded::read(model, &machine, arguments.on)?;
    let description = Description::beside(model)?;
    let cutoff = cutoff(arguments.cutoff, &description)?;
    let (input, output) = (loaded.input(model)?, loaded.output(model)?);
    let frames = frames(input, output, model)?;
    let seconds_per_step = (frames * STEP) as f64 / f64::from(SAMPLE_RATE);
    let live = match &arguments.recording {
        None => Some(Live::microphone()?),
        Some(path) if path == Path::new("-") => Some(Live::standard_input()),
        Some(_) => None,
    };
    let samples = match (&arguments.recording, &live) {
        (Some(path), None) => recording::read(path)?,
        _ => vec![],
    };
    let mut listener = Listener {
        stepper: Stepper::new(&loaded, arguments.on)?,
        front_end: FrontEnd::new(),
        input,
        output,
        frames,
        detector: Detector {
            cutoff,
            window: description.micro.sliding_window_size.unwrap_or(1).max(1),
            last: vec![],
            above: false,
        },
    };
    let word = description.wake_word.as_deref().unwrap_or("the word");
    let mut probabilities = vec![];
    let mut heard_at = vec![];
    let mut hear = |listener: &mut Listener<'_>, features: &[[u16; BANDS]]| -> Result<(f64, bool), Failure> {
        let probability = listener.step(features)?;
        let heard = listener.detector.heard(probability);
        probabilities.push(probability);
        if heard {
            heard_at.push(probabilities.len() as f64 * seconds_per_step);
        }
        Ok((probability, heard))
    };
    let mut heard_samples = samples.len();
    match live {
        None => {
            let features = listener.front_end.frames(&samples);
            for step in features.chunks_exact(frames) {
                hear(&mut listener, step)?;
            }
        }
        Some(mut live) => {
            let mut window = [0i16; WINDOW];
            let mut fresh = WINDOW - STEP;
            let mut features = Vec::with_capacity(frames);
            if live.fill(&mut window[STEP..])? {
                heard_samples += fresh;
                fresh = STEP;
                while {
                    window.copy_within(STEP.., 0);
                    live.fill(&mut window[WINDOW - fresh..])?
                } {
                    heard_samples += fresh;
                    features.push(listener.front_end.frame(&window));
                    if features.len() == frames {
                        let (probability, heard) = hear(&mut listener, &features)?;
                        features.clear();
                        if arguments.microphone {
                            show_live(&format!("{probability:.2} {}", bar(probability, WIDTH)));
                            if heard {
                                remark(&format!("\rheard {word}"));
                            }
                        }
                    }
                }
            }
        }
    }
    if probabilities.is_empty() {
        let least = (WINDOW + (frames - 1) * STEP) as f64 / f64::from(SAMPLE_RATE);
        let place = arguments.recording.as_deref().unwrap_or(Path::new("--microphone")).display().to_string();
        let why = format!("it is shorter than the {} that the network listens to", duration(least));
        return Err(Failure::new("there is nothing to hear", place, why, "give a longer recording"));
    }
    let disagreement = listener.stepper.disagreement().map(str::to_string);
    let cycles_predicted = loaded.program.as_ref().map(|program| program.cycles);
    let step_seconds = machine.clock_mhz().zip(cycles_predicted).map(|(clock, cycles)| cycles as f64 / (clock * 1e6));
    let report = Report {
        model: loaded.graph.name.clone(),
        board: machine.name.clone(),
        backend: arguments.on,
        seconds: heard_samples as f64 / f64::from(SAMPLE_RATE),
        seconds_per_step,
        probabilities,
        cutoff,
        heard_at,
        cycles_predicted,
        real_time_factor: step_seconds.map(|seconds| seconds / seconds_per_step),
        outputs_equal_golden: disagreement.is_none(),
    };
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&describe(&report, &machine, word, step_seconds))?;
    }
    if let Some(disagreement) = &disagreement {
        remark(disagreement);
    }
    Ok(Verdict::of(disagreement.is_none()))
}

/// Frames that the network takes in one step.
fn frames(input: &Tensor, output: &Tensor, path: &Path) -> Result<usize, Failure> {
    let refused = |why: String| {
        let help = "give a network of microWakeWord's kind: frames of 40 features in, one probability out; others run with \
                    `lpu run MODEL --inputs X.npy`";
        Err(Failure::new("the network listens to something else", path.display(), why, help))
    };
    let elements = input.elements();
    if input.shape.last() != Some(&BANDS) || elements == 0 {
        return refused(format!("its input is {:?}, which is not made of frames of {BANDS} features", input.shape));
    }
    if output.elements() != 1 {
        return refused(format!("its output has {} elements, not one probability", output.elements()));
    }
    Ok(elements / BANDS)
}

fn cutoff(argument: Option<f64>, description: &Description) -> Result<f64, Failure> {
    match argument {
        Some(cutoff) if !(cutoff > 0.0 && cutoff <= 1.0) => Err(Failure::new(
            "the cutoff cannot be used",
            format!("--cutoff {cutoff}"),
            "a probability is above 0 and at most 1",
            "give a number like 0.5",
        )),
        Some(cutoff) => Ok(cutoff),
        None => Ok(description.micro.probability_cutoff.unwrap_or(CUTOFF)),
    }
}

impl Description {
    /// The description beside the network; empty where there is none.
    fn beside(model: &Path) -> Result<Description, Failure> {
        let path = model.with_extension("json");
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Description::default()) };
        serde_json::from_str(&text).map_err(|error| {
            let help = "correct it, or move it away: it is read because it has the network's name";
            Failure::new("the network's description cannot be used", path.display(), error, help)
        })
    }
}

impl Detector {
    /// Takes note of a step; true where the mean has just come above the cutoff.
    fn heard(&mut self, probability: f64) -> bool {
        if self.last.len() == self.window {
            self.last.remove(0);
        }
        self.last.push(probability);
        let mean = self.last.iter().sum::<f64>() / self.window as f64;
        let above = mean >= self.cutoff;
        let before = std::mem::replace(&mut self.above, above);
        above && !before
    }
}

impl Listener<'_> {
    /// The probability after the next frames.
    fn step(&mut self, features: &[[u16; BANDS]]) -> Result<f64, Failure> {
        debug_assert_eq!(features.len(), self.frames);
        let input: Vec<i8> = features.iter().flatten().map(|&feature| quantised(feature, self.input)).collect();
        let output = self.stepper.step(&input)?;
        Ok(output.first().map_or(0.0, |&element| f64::from(real(self.output, element))))
    }
}

/// A feature as an element of the network's input, rounded to the nearest.
fn quantised(feature: u16, input: &Tensor) -> i8 {
    let value = f32::from(feature) * FEATURE_SCALE / input.quantisation.scale;
    // Saturates, as the conversion does.
    (value.round_ties_even() + input.quantisation.zero_point as f32) as i8
}

fn describe(report: &Report, machine: &Machine, word: &str, step_seconds: Option<f64>) -> String {
    let on = match report.backend {
        Backend::Golden => "golden model",
        Backend::Model => "cycle model, equal to golden",
        Backend::Rtl => "RTL, equal to golden",
        Backend::Board => "board",
    };
    let on = if report.outputs_equal_golden { on.to_string() } else { on.replace("equal", "NOT equal") };
    let highest = report.probabilities.iter().copied().fold(0.0, f64::max);
    let heard: Vec<String> = report.heard_at.iter().map(|at| format!("{at:.2} s")).collect();
    let mut lines = vec![
        ("network", report.model.clone()),
        ("machine", machine.describe()),
        ("run on", format!("{on}, {} steps of {}", report.probabilities.len(), duration(report.seconds_per_step))),
        ("highest", format!("{highest:.3}, cutoff {}", report.cutoff)),
        ("heard", if heard.is_empty() { "nothing".into() } else { format!("{word} at {}", heard.join(", ")) }),
    ];
    if let Some(cycles) = report.cycles_predicted {
        let speed = step_seconds.zip(report.real_time_factor).map_or_else(String::new, |(seconds, factor)| {
            format!(", {}: {} times as fast as speech", duration(seconds), count((1.0 / factor).round() as u64))
        });
        lines.push(("a step", format!("{} cycles{speed}", count(cycles))));
    }
    format!("{}\n{}", curve(&report.probabilities, report.seconds, WIDTH), pairs(&lines))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use lpu_compiler::graph::{Element, Quantisation};
    use lpu_tests::conformance;

    #[test]
    fn the_features_of_a_recording_are_those_that_the_networks_were_trained_on() {
        let input = Tensor {
            name: "features".into(),
            shape: vec![1, 3, BANDS],
            quantisation: Quantisation { scale: 0.101_960_786, zero_point: -128 },
            element: Element::Int8,
        };
        for clip in ["alexa_1", "hey_jarvis_1"] {
            let Some(path) = conformance::file(&format!("reference/microwakeword/{clip}.features.npy")) else { return };
            let recording = conformance::file(&format!("models/data/{clip}.wav")).unwrap();
            let frames = FrontEnd::new().frames(&recording::read(&recording).unwrap());
            let features: Vec<i8> = frames.iter().flatten().map(|&feature| quantised(feature, &input)).collect();
            assert_eq!(features, conformance::rows(&path).unwrap().concat(), "{clip}");
        }
    }

    #[test]
    fn a_word_is_heard_once_when_the_mean_comes_above_the_cutoff() {
        let mut detector = Detector { cutoff: 0.5, window: 2, last: vec![], above: false };
        let heard: Vec<bool> = [0.0, 0.8, 0.8, 0.9, 0.0, 0.0, 1.0].map(|p| detector.heard(p)).to_vec();
        assert_eq!(heard, [false, false, true, false, false, false, true]);
    }
}
