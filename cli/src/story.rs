//! The language model that ships with the project, inside the program: it tells stories for small children.

use crate::failure::Failure;
use crate::machine::Machine;
use lpu_compiler::import::llama::llama2c;
use lpu_compiler::llama::model::LlamaModel;
use lpu_compiler::tokenizer::Tokenizer;
use lpu_compiler::tokenizer::llama2c::Llama2cTokenizer;
use lpu_isa::configuration::Configuration;

/// What reports call the model.
pub const NAME: &str = "stories";
/// How a story begins if nobody says how.
pub const PROMPT: &str = "One day, a little";

/// The model and its vocabulary.
pub struct Story {
    /// The model.
    pub model: LlamaModel,
    /// The vocabulary.
    pub tokenizer: Tokenizer,
}

/// Unpacks the model.
///
/// # Errors
/// None in practice: the files are part of the program, and a test unpacks them.
pub fn load() -> Result<Story, Failure> {
    let model =
        llama2c::import(include_bytes!("../../models/stories/stories.bin"), NAME).map_err(|error| broken(&error))?;
    let pieces = include_bytes!("../../models/stories/tok512.bin");
    let tokenizer = Llama2cTokenizer::read(pieces, "tok512.bin", model.shape.vocabulary);
    let tokenizer = Tokenizer::Llama2c(tokenizer.map_err(|error| broken(&error))?);
    Ok(Story { model, tokenizer })
}

/// The machine that the model's shape was made for.
///
/// # Errors
/// None in practice, as above.
pub fn machine() -> Result<Machine, Failure> {
    let text = include_str!("../../constraints/ulx3s-85f/language.toml");
    let configuration = Configuration::from_toml(text).map_err(|error| broken(&error))?;
    Ok(Machine { name: "ulx3s-85f/language".into(), configuration, board: None, refusals: vec![], chosen_for: None })
}

fn broken(why: &dyn std::fmt::Display) -> Failure {
    Failure::new("the language model inside this program is damaged", NAME, why, "build the program again")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_prompt_of_ascii_is_its_tokens_text() {
        let Story { model, tokenizer } = load().unwrap();
        assert_eq!(model.shape.context, 256);
        let printable: String = (b' '..=b'~').map(char::from).collect();
        for text in [PROMPT, "Tom's dog said, \"Hi!\"\nZoë", &printable] {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&tokens), text);
        }
        // Words that stories are full of are one token each, behind the one that begins a text.
        assert!(tokenizer.encode(PROMPT).unwrap().len() <= 7);
    }

    #[test]
    fn the_machine_has_what_language_models_need() {
        assert!(machine().unwrap().configuration.extensions.is_some());
    }
}
