//! `lpu classify`: what a network sees in pictures.

use crate::cache;
use crate::chart::bar;
use crate::failure::{Failure, Verdict};
use crate::machine::OptionalMachine;
use crate::network;
use crate::output::{count, duration, pairs, percent, print, print_json, printable, remark};
use crate::stepper::{Loaded, Stepper, range, real};
use crate::witnesses::Backend;
use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, ImageReader, Rgb32FImage};
use lpu_compiler::graph::Tensor;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Characters of a full bar.
const WIDTH: usize = 30;
/// Label sets that are known by name.
const LABELS: [(&str, &[&str]); 1] =
    [("cifar10", &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])];

/// Classify pictures: PNG, JPEG or BMP
///
/// The middle of each picture, as a rectangle of the network's proportions, is scaled to the network's input. Its lightest and
/// darkest values become those that the input can hold.
///
/// Exit status 1 where an output or a cycle count differs from the golden model's or from the prediction.
#[derive(Debug, clap::Args)]
#[command(after_long_help = cache::HELP)]
pub struct Arguments {
    /// The pictures
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// The network: a TensorFlow Lite or ONNX model, quantised to int8
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// The names of the classes: a file with one a line, or cifar10
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How many classes to show of each picture, the likeliest first
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// What to run the network on
    #[arg(long, value_enum, default_value = "golden")]
    on: Backend,
    #[command(flatten)]
    machine: OptionalMachine,
    /// Print one JSON object and nothing else
    #[arg(long)]
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
    /// What was seen in each picture.
    images: Vec<Picture>,
    /// Cycles of one picture that the compiler promises. None where only the golden model executes the network so far.
    cycles_predicted: Option<u64>,
    /// Cycles ÷ clock.
    seconds_per_inference: Option<f64>,
    /// Are all outputs the golden model's, and all cycles as predicted?
    outputs_equal_golden: bool,
}

/// A picture.
#[derive(Debug, Serialize)]
struct Picture {
    /// Its file.
    file: String,
    /// The classes, the likeliest first.
    classes: Vec<Class>,
}

/// A class, and what the network gives for it.
#[derive(Debug, Serialize)]
struct Class {
    /// Its place in the output.
    index: usize,
    /// Its name, or `class N`.
    label: String,
    /// The output's real value.
    score: f32,
}

/// Size of a network's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    rows: u32,
    columns: u32,
    channels: usize,
}

/// Classifies the pictures.
pub fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let machine = network::settle(arguments.machine.resolve()?, &arguments.model);
    let model = &arguments.model;
    let loaded = Loaded::read(model, &machine, arguments.on)?;
    let (input, output) = (loaded.input(model)?, loaded.output(model)?);
    let size = Size::of(input, model)?;
    check_range(input, model)?;
    let labels = labels(arguments.labels.as_deref(), output.elements())?;
    // A picture that cannot be read is said before anything is built.
    let pictures: Vec<Vec<i8>> = arguments.images.iter().map(|path| size.elements(path)).collect::<Result<_, _>>()?;
    let mut stepper = Stepper::new(&loaded, arguments.on)?;
    let mut images = vec![];
    for (path, elements) in arguments.images.iter().zip(&pictures) {
        let scores = stepper.step(elements)?;
        let classes = classes(&scores, output, &labels);
        images.push(Picture { file: path.display().to_string(), classes });
    }
    let cycles_predicted = loaded.program.as_ref().map(|program| program.cycles);
    let report = Report {
        model: loaded.graph.name.clone(),
        board: machine.name.clone(),
        backend: arguments.on,
        images,
        cycles_predicted,
        seconds_per_inference: machine
            .clock_mhz()
            .zip(cycles_predicted)
            .map(|(clock, cycles)| cycles as f64 / (clock * 1e6)),
        outputs_equal_golden: stepper.disagreement().is_none(),
    };
    if arguments.json {
        print_json(&report)?;
    } else {
        let mut lines = vec![("machine", machine.describe())];
        if let Some(cycles) = report.cycles_predicted {
            let time = report.seconds_per_inference.map_or_else(String::new, |time| format!(", {}", duration(time)));
            lines.push(("a picture", format!("{} cycles{time}", count(cycles))));
        }
        print(&format!("{}{}", describe(&report, arguments.top.into()), pairs(&lines)))?;
    }
    if let Some(disagreement) = stepper.disagreement() {
        remark(disagreement);
    }
    Ok(Verdict::of(report.outputs_equal_golden))
}

/// The classes by their score, the highest first.
fn classes(scores: &[i8], output: &Tensor, labels: &[String]) -> Vec<Class> {
    let mut classes: Vec<Class> = scores
        .iter()
        .zip(labels)
        .enumerate()
        .map(|(index, (&score, label))| Class { index, label: label.clone(), score: real(output, score) })
        .collect();
    classes.sort_by(|a, b| b.score.total_cmp(&a.score));
    classes
}

fn describe(report: &Report, top: usize) -> String {
    let shown = |picture: &Picture| -> Vec<String> {
        picture.classes.iter().take(top).map(|class| printable(&class.label)).collect()
    };
    let widths = report.images.iter().flat_map(shown).map(|label| label.chars().count());
    let width = widths.max().unwrap_or(0);
    let mut text = String::new();
    for picture in &report.images {
        text += &format!("{}\n", printable(&picture.file));
        for (class, label) in picture.classes.iter().zip(shown(picture)) {
            // A network without softmax gives scores of any size: no share, no bar.
            if (0.0..=1.0).contains(&class.score) {
                let share = f64::from(class.score);
                text += &format!("  {label:width$} {:>7} {}\n", percent(share), bar(share, WIDTH));
            } else {
                text += &format!("  {label:width$} {:>9.3}\n", class.score);
            }
        }
        text.push('\n');
    }
    text
}

/// The names of `classes` classes.
fn labels(argument: Option<&Path>, classes: usize) -> Result<Vec<String>, Failure> {
    let Some(path) = argument else { return Ok((0..classes).map(|index| format!("class {index}")).collect()) };
    let known = LABELS.iter().find(|(name, _)| Path::new(name) == path);
    let labels: Vec<String> = match known {
        Some((_, labels)) => labels.iter().map(|label| label.to_string()).collect(),
        None => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let names: Vec<&str> = LABELS.iter().map(|(name, _)| *name).collect();
                let help = format!("check the path; known without a file: {}", names.join(", "));
                Failure::new("the labels cannot be used", path.display(), error, help)
            })?;
            text.lines().map(|line| line.trim().to_string()).filter(|line| !line.is_empty()).collect()
        }
    };
    if labels.len() == classes {
        return Ok(labels);
    }
    let why = format!("there are {} labels, and the network has {classes} classes", labels.len());
    Err(Failure::new(
        "the labels cannot be used",
        path.display(),
        why,
        "give a file with one label a line, in the order of the output",
    ))
}

/// Elements of the input are a picture's values with 128 taken away, which is right where the input's range is that of the values
/// (0 to 255), of shares (0 to 1), or of shares around 0 (-1 to 1).
fn check_range(input: &Tensor, path: &Path) -> Result<(), Failure> {
    let (low, high) = range(input);
    let near = |value: f32, expected: f32, one: f32| (value - expected).abs() <= 0.02 * one;
    let known = [(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)];
    if known.iter().any(|&(least, most)| near(low, least, most) && near(high, most, most)) {
        return Ok(());
    }
    let why =
        format!("its input holds {low:.3} to {high:.3}, which is no range that pictures are known to be given in");
    let help = "prepare the pictures as the network was trained and use `lpu run MODEL --inputs X.npy`; known ranges are 0 to 255, 0 to \
                1 and -1 to 1";
    Err(Failure::new("the network does not look at pictures", path.display(), why, help))
}

impl Size {
    /// The size of the pictures that an input takes.
    fn of(input: &Tensor, path: &Path) -> Result<Size, Failure> {
        let side = |length: usize| u32::try_from(length).ok().filter(|&length| length > 0);
        if let [1, rows, columns, channels @ (1 | 3)] = input.shape[..]
            && let (Some(rows), Some(columns)) = (side(rows), side(columns))
        {
            return Ok(Size { rows, columns, channels });
        }
        let why = format!("its input is {:?}, not [1, rows, columns, 1 or 3 colours]", input.shape);
        let help = "give a network that looks at pictures; others run with `lpu run MODEL --inputs X.npy`";
        Err(Failure::new("the network does not look at pictures", path.display(), why, help))
    }

    /// The picture at `path` as elements of the input.
    fn elements(self, path: &Path) -> Result<Vec<i8>, Failure> {
        let unreadable = |why: &dyn std::fmt::Display, help: &str| {
            Failure::new("the picture cannot be used", path.display(), why, help)
        };
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
        let reader = reader.map_err(|error| unreadable(&error, "check the path"))?;
        let picture = reader.decode().map_err(|error| unreadable(&error, "give a PNG, JPEG or BMP file"))?;
        Ok(self.scaled(&picture))
    }

    fn scaled(self, picture: &DynamicImage) -> Vec<i8> {
        // Transparent parts are white, as on a page.
        let mut floats = picture.to_rgba32f();
        for pixel in floats.pixels_mut() {
            let [r, g, b, a] = pixel.0;
            pixel.0 = [r, g, b, 1.0].map(|value| value * a + (1.0 - a));
        }
        let rgb: Rgb32FImage = DynamicImage::ImageRgba32F(floats).to_rgb32f();
        let (width, height) = rgb.dimensions();
        // The largest rectangle of the network's proportions, in the middle.
        let fitting = |length: u32, mine: u32, other: u32| {
            ((u64::from(length) * u64::from(mine)) / u64::from(other)).clamp(1, u64::from(u32::MAX)) as u32
        };
        let (columns, rows) =
            (width.min(fitting(height, self.columns, self.rows)), height.min(fitting(width, self.rows, self.columns)));
        let middle = crop_imm(&rgb, (width - columns) / 2, (height - rows) / 2, columns, rows).to_image();
        let scaled = resize(&middle, self.columns, self.rows, FilterType::Triangle);
        let element = |value: f32| ((value.clamp(0.0, 1.0) * 255.0).round() as i32 - 128) as i8;
        let pixels = scaled.pixels().flat_map(|pixel| {
            let [r, g, b] = pixel.0;
            // Rec. 601, as most trainings of grey pictures.
            if self.channels == 1 { vec![0.299 * r + 0.587 * g + 0.114 * b] } else { vec![r, g, b] }
        });
        pixels.map(element).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    /// Red on the left third, green in the middle, blue on the right.
    fn flag() -> DynamicImage {
        RgbImage::from_fn(30, 10, |x, _| {
            let mut pixel = [0; 3];
            pixel[x as usize / 10] = 255;
            Rgb(pixel)
        })
        .into()
    }

    #[test]
    fn the_middle_of_a_picture_is_taken() {
        let square = Size { rows: 5, columns: 5, channels: 3 };
        assert_eq!(square.scaled(&flag()), [-128, 127, -128].repeat(25));
    }

    #[test]
    fn a_picture_of_the_right_size_goes_through_unchanged() {
        let same = Size { rows: 10, columns: 30, channels: 3 };
        let elements = same.scaled(&flag());
        assert_eq!(elements[..3], [127, -128, -128]);
        assert_eq!(elements[elements.len() - 3..], [-128, -128, 127]);
    }

    #[test]
    fn grey_weighs_the_colours() {
        let grey = Size { rows: 10, columns: 30, channels: 1 };
        let elements = grey.scaled(&flag());
        // 76, 150 and 29 of 255.
        assert_eq!([elements[0], elements[10], elements[20]], [-52, 22, -99]);
    }

    #[test]
    fn labels_must_be_as_many_as_classes() {
        assert_eq!(labels(None, 2).unwrap(), ["class 0", "class 1"]);
        assert_eq!(labels(Some(Path::new("cifar10")), 10).unwrap()[3], "cat");
        let text = format!("{:?}", labels(Some(Path::new("cifar10")), 12).unwrap_err());
        assert!(text.contains("10 labels") && text.contains("12 classes"), "{text}");
    }
}
