//! A whole design: one top module and everything below it, as files.

use super::error::DesignError;
use super::family::FamilyTexts;
use super::module::Module;
use lpu_isa::board::Family;
use rust_hdl::core::ast::Verilog;
use rust_hdl::core::atom::is_atom_signed;
use rust_hdl::prelude::{Atom, Block, Probe};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The texts of an emitted module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModuleText {
    /// One text for simulation and every FPGA family.
    Common(String),
    /// A primitive: the same ports, a behavioural text for simulation and texts that instantiate a family's own cells.
    Primitive {
        /// For simulation, and for families without a text of their own.
        behavioural: String,
        /// For single families.
        families: FamilyTexts,
    },
}

impl ModuleText {
    /// The text that is simulated.
    #[must_use]
    pub fn simulated(&self) -> &str {
        match self {
            ModuleText::Common(text) => text,
            ModuleText::Primitive { behavioural, .. } => behavioural,
        }
    }

    /// The text that is synthesised for `family`.
    #[must_use]
    pub fn synthesised(&self, family: Family) -> &str {
        match self {
            ModuleText::Common(text) => text,
            ModuleText::Primitive { behavioural, families } => families.get(family).unwrap_or(behavioural),
        }
    }
}

/// A port of an emitted module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmittedPort {
    /// Its name.
    pub name: String,
    /// Its width in bits.
    pub width: usize,
    /// Whether it was declared signed.
    pub signed: bool,
    /// Whether it is an input.
    pub input: bool,
}

/// One module of the emitted text: one for each distinct shape.
#[derive(Debug, Clone)]
pub struct EmittedModule {
    /// The name after `module`; also that of its file.
    pub name: String,
    /// Its text or texts.
    pub text: ModuleText,
    /// Its ports, in the order of the port list.
    pub ports: Vec<EmittedPort>,
    /// How often it occurs in the whole hierarchy.
    pub instances: usize,
}

/// A top module with everything below it, folded to one emitted module for each distinct shape.
///
/// Two modules with the same base name and the same text are one; different texts under one base name get `_v2`, `_v3`,
/// … in the order of the hierarchy, so the names depend on nothing but the design.
#[derive(Debug)]
pub struct Design {
    modules: Vec<EmittedModule>,
    hierarchy: Vec<(String, String)>,
}

impl Design {
    /// Walks the hierarchy below `top` and names its modules.
    ///
    /// # Errors
    /// `DesignError::Emission` if the text of a module does not fit its children, which a module made by this layer
    /// never does.
    #[allow(clippy::needless_pass_by_value)] // a design takes its top over
    pub fn new(top: Arc<Module>) -> Result<Self, DesignError> {
        let mut printer = Printer::default();
        top.accept(top.base_name(), &mut printer);
        if let Some(error) = printer.error {
            return Err(error);
        }
        let mut hierarchy = printer.hierarchy;
        hierarchy.sort();
        Ok(Design { modules: printer.modules, hierarchy })
    }

    /// The emitted modules, children before their parents; the top is the last.
    #[must_use]
    pub fn modules(&self) -> &[EmittedModule] {
        &self.modules
    }

    /// The emitted name of the top module.
    #[must_use]
    pub fn top_name(&self) -> &str {
        self.modules.last().map_or("", |module| &module.name)
    }

    /// Every instance: its path from the top, joined by dots, and the emitted module it is of; sorted by path.
    #[must_use]
    pub fn hierarchy(&self) -> &[(String, String)] {
        &self.hierarchy
    }

    /// Relative file names with `/` and their texts: `rtl/NAME.v`; primitives under `behavioural/` and, for each family that
    /// has a text of its own, `ecp5/`, `ice40/` or `gowin/`.
    #[must_use]
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for EmittedModule { name, text, .. } in &self.modules {
            match text {
                ModuleText::Common(text) => files.push((format!("rtl/{name}.v"), text.clone())),
                ModuleText::Primitive { behavioural, families } => {
                    files.push((format!("behavioural/{name}.v"), behavioural.clone()));
                    files
                        .extend(families.iter().map(|(family, text)| (format!("{family}/{name}.v"), text.to_string())));
                }
            }
        }
        files
    }

    /// Those of [`files`](Self::files) that are synthesised for `family`: each module once, primitives in the family's own text
    /// or, where it has none, in the behavioural one.
    #[must_use]
    pub fn files_for(&self, family: Family) -> Vec<(String, String)> {
        let folder = |text: &ModuleText| match text {
            ModuleText::Common(_) => "rtl".to_string(),
            ModuleText::Primitive { families, .. } if families.get(family).is_some() => family.to_string(),
            ModuleText::Primitive { .. } => "behavioural".to_string(),
        };
        self.modules
            .iter()
            .map(|EmittedModule { name, text, .. }| {
                (format!("{}/{name}.v", folder(text)), text.synthesised(family).to_string())
            })
            .collect()
    }

    /// All modules in one text, primitives as their behavioural twins: what a simulator reads.
    #[must_use]
    pub fn single_text(&self) -> String {
        self.joined(ModuleText::simulated)
    }

    /// All modules in one text, primitives as ECP5 cells: what synthesis reads.
    #[must_use]
    pub fn single_ecp5_text(&self) -> String {
        self.single_text_for(Family::Ecp5)
    }

    /// All modules in one text, primitives as the cells of `family` where they have a text for it: what synthesis reads.
    #[must_use]
    pub fn single_text_for(&self, family: Family) -> String {
        self.joined(|text| text.synthesised(family))
    }

    fn joined(&self, pick: impl Fn(&ModuleText) -> &str) -> String {
        let texts: Vec<&str> = self.modules.iter().map(|m| pick(&m.text)).collect();
        texts.join("\n")
    }

    /// Writes `files()` below `directory`, which is made if missing.
    ///
    /// # Errors
    /// `DesignError::Write` naming the file or directory that could not be written.
    pub fn write_to(&self, directory: impl AsRef<Path>) -> Result<(), DesignError> {
        let directory = directory.as_ref();
        for (name, text) in self.files() {
            let path = directory.join(name);
            let failed = |error: std::io::Error| DesignError::Write {
                path: path.display().to_string(),
                reason: error.to_string(),
            };
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            std::fs::write(&path, text).map_err(failed)?;
        }
        Ok(())
    }
}

/// A module whose children are being visited.
struct Scope {
    instance: String,
    ports: Vec<EmittedPort>,
    /// Instance and index of its emitted module.
    children: Vec<(String, usize)>,
    /// Paths relative to this scope.
    below: Vec<(String, usize)>,
}

/// The walk over the hierarchy: resolves names when a scope ends, when its children have theirs.
#[derive(Default)]
struct Printer {
    scopes: Vec<Scope>,
    modules: Vec<EmittedModule>,
    /// Base name and text with the own name left open, to the emitted module.
    known: HashMap<(String, ModuleText), usize>,
    names: HashSet<String>,
    hierarchy: Vec<(String, String)>,
    error: Option<DesignError>,
}

impl Probe for Printer {
    fn visit_start_scope(&mut self, name: &str, _node: &dyn Block) {
        self.scopes.push(Scope {
            instance: name.to_string(),
            ports: Vec::new(),
            children: Vec::new(),
            below: Vec::new(),
        });
    }

    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        if let (Some(scope), true) = (self.scopes.last_mut(), atom.kind().is_parameter()) {
            scope.ports.push(EmittedPort {
                name: name.to_string(),
                width: atom.bits(),
                signed: is_atom_signed(atom),
                input: atom.kind() == rust_hdl::prelude::AtomKind::InputParameter,
            });
        }
    }

    fn visit_end_scope(&mut self, _name: &str, node: &dyn Block) {
        let Some(scope) = self.scopes.pop() else {
            return;
        };
        let template = match node.hdl() {
            Verilog::Custom(text) => ModuleText::Common(text),
            Verilog::Wrapper(wrapper) => {
                ModuleText::Primitive { behavioural: wrapper.code, families: FamilyTexts::from_joined(&wrapper.cores) }
            }
            _ => return self.refuse(&scope.instance, "it has no text"),
        };
        let Some(base) = placeholder(template.simulated(), "${module:") else {
            return self.refuse(&scope.instance, "its text does not say its name");
        };
        let text = self.with_children(template, &scope.children);
        let index = self.emit(base, text, scope.ports);
        self.modules[index].instances += 1;

        let mut below = scope.below;
        below.push((String::new(), index));
        let paths = below.into_iter().map(|(path, module)| {
            let dot = if path.is_empty() { "" } else { "." };
            (format!("{}{dot}{path}", scope.instance), module)
        });
        if let Some(parent) = self.scopes.last_mut() {
            parent.below.extend(paths);
            parent.children.push((scope.instance, index));
        } else {
            for (path, module) in paths {
                self.hierarchy.push((path, self.modules[module].name.clone()));
            }
        }
    }
}

impl Printer {
    fn refuse(&mut self, module: &str, reason: &str) {
        self.error
            .get_or_insert_with(|| DesignError::Emission { module: module.to_string(), reason: reason.to_string() });
    }

    fn with_children(&self, template: ModuleText, children: &[(String, usize)]) -> ModuleText {
        let fill = |text: String| {
            children.iter().fold(text, |text, (instance, module)| {
                text.replace(&format!("${{instance:{instance}}}"), &self.modules[*module].name)
            })
        };
        match template {
            ModuleText::Common(text) => ModuleText::Common(fill(text)),
            primitive @ ModuleText::Primitive { .. } => primitive,
        }
    }

    /// The emitted module with this base name and text, made if it is new.
    fn emit(&mut self, base: String, text: ModuleText, ports: Vec<EmittedPort>) -> usize {
        let key = (base, text);
        if let Some(index) = self.known.get(&key) {
            return *index;
        }
        let (base, text) = &key;
        let mut name = base.clone();
        let mut version = 1;
        while !self.names.insert(name.clone()) {
            version += 1;
            name = format!("{base}_v{version}");
        }
        let own = |text: &str| text.replace(&format!("${{module:{base}}}"), &name);
        let text = match text {
            ModuleText::Common(text) => ModuleText::Common(own(text)),
            ModuleText::Primitive { behavioural, families } => {
                ModuleText::Primitive { behavioural: own(behavioural), families: families.map(|_, text| own(text)) }
            }
        };
        let index = self.modules.len();
        self.modules.push(EmittedModule { name, text, ports, instances: 0 });
        self.known.insert(key, index);
        index
    }
}

/// What stands between `opening` and the next brace.
fn placeholder(text: &str, opening: &str) -> Option<String> {
    let (_, rest) = text.split_once(opening)?;
    rest.split_once('}').map(|(name, _)| name.to_string())
}
