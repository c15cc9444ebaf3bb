//! The network that ships with the project, inside the program: handwritten digits of 8 × 8 pixels.

use crate::failure::Failure;
use lpu_compiler::graph::Graph;
use lpu_compiler::import;

/// Pixels of one side of an image.
pub const SIDE: usize = 8;
/// What reports call the network.
pub const NAME: &str = "digits";

/// The network and the test images that come with it.
pub struct Digits {
    /// The network.
    pub graph: Graph,
    /// Test images: [`SIDE`]² int8 pixels each, -128 is blank.
    pub images: Vec<Vec<i8>>,
    /// The digit that each image shows.
    pub labels: Vec<u8>,
}

/// Unpacks the network and its images.
///
/// # Errors
/// None in practice: the files are part of the program, and a test unpacks them.
pub fn load() -> Result<Digits, Failure> {
    let broken = |why: &dyn std::fmt::Display| {
        Failure::new("the network inside this program is damaged", NAME, why, "build the program again")
    };
    let graph =
        import::import(include_bytes!("../../models/digits/digits.tflite"), NAME).map_err(|error| broken(&error))?;
    let images = array::<i8>(include_bytes!("../../models/digits/inputs.npy")).map_err(|error| broken(&error))?;
    let labels = array::<u8>(include_bytes!("../../models/digits/labels.npy")).map_err(|error| broken(&error))?;
    let images: Vec<Vec<i8>> = images.chunks_exact(SIDE * SIDE).map(<[i8]>::to_vec).collect();
    Ok(Digits { graph, images, labels })
}

fn array<T: npyz::Deserialize>(bytes: &[u8]) -> std::io::Result<Vec<T>> {
    npyz::NpyFile::new(bytes)?.into_vec()
}

/// The place of the largest logit: the digit. Of equal ones the first.
pub fn answer(logits: &[i8]) -> usize {
    let largest = logits.iter().enumerate().max_by_key(|&(index, &logit)| (logit, std::cmp::Reverse(index)));
    largest.map_or(0, |(index, _)| index)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn network_images_and_labels_belong_together() {
        let Digits { graph, images, labels } = load().unwrap();
        assert_eq!((images.len(), labels.len()), (32, 32));
        let right = |(image, &label): (&Vec<i8>, &u8)| {
            answer(&lpu_sim::golden::run(&graph, image).unwrap()) == usize::from(label)
        };
        assert!(images.iter().zip(&labels).filter(|&pair| right(pair)).count() >= 30);
    }

    #[test]
    fn the_first_of_equal_logits_wins() {
        assert_eq!(answer(&[1, 5, 5, 2]), 1);
    }
}
