//! Variables: what a network keeps from one inference to the next.
//!
//! `VAR_HANDLE` names a variable, `READ_VARIABLE` and `ASSIGN_VARIABLE` take and give its value, `CALL_ONCE` runs a subgraph
//! that gives first values. In the graph nothing is assigned: a variable is a tensor that has a value before the first
//! operator, and what a read yields is whatever stood in the variable at that place, which is known at import. The variable's
//! next value is the tensor that was assigned last. A variable that no subgraph gives a value begins with its zero point, as
//! in tflite-micro.

use std::collections::{BTreeSet, HashMap};

use super::operators::Node;
use super::schema;
use super::tensors::Tensors;
use super::{ImportError, Site, element};
use crate::graph::{Operator, OperatorKind, State, TensorId};

/// Characters of a variable's name that messages and reports show.
const NAME_LIMIT: usize = 200;

/// The variables of a network, by their positions.
#[derive(Default)]
pub(super) struct Variables {
    variables: Vec<Variable>,
    /// Position by container and name.
    positions: HashMap<(Vec<u8>, Vec<u8>), usize>,
    /// Position by the file's tensor that stands for the variable in the network.
    handles: HashMap<i32, usize>,
    /// The same in the subgraph that is run once, while it is.
    initial_handles: HashMap<i32, usize>,
    /// Subgraphs that have been run once.
    initialised: BTreeSet<usize>,
}

struct Variable {
    name: String,
    /// What a subgraph has assigned before the first inference.
    initial: Option<Vec<i8>>,
    /// Once the network has used it.
    used: Option<State>,
}

impl Variables {
    /// The variable that a `VAR_HANDLE` names; a new one where nobody has named it before.
    fn named(&mut self, node: &Node<'_>, operator: schema::Operator<'_>) -> Result<(i32, usize), ImportError> {
        let here = node.here;
        node.counts(0, 1)?;
        let options = here.sound(operator.var_handle_options())?;
        let options = options.ok_or_else(|| here.damaged("the operator has no options"))?;
        let bytes =
            |text: Option<super::flatbuffer::Numbers<'_, u8>>| text.map_or_else(Vec::new, |text| text.bytes().to_vec());
        let key = (bytes(here.sound(options.container())?), bytes(here.sound(options.shared_name())?));
        let next = self.variables.len();
        let position = *self.positions.entry(key.clone()).or_insert(next);
        if position == next {
            let text = String::from_utf8_lossy(&key.1);
            let name = text.chars().take(NAME_LIMIT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            self.variables.push(Variable { name, initial: None, used: None });
        }
        Ok((node.outputs[0], position))
    }

    /// `VAR_HANDLE` in the network.
    pub(super) fn handle(&mut self, node: &Node<'_>, operator: schema::Operator<'_>) -> Result<(), ImportError> {
        let (tensor, position) = self.named(node, operator)?;
        self.handles.insert(tensor, position);
        Ok(())
    }

    /// `READ_VARIABLE`: the value that stands there now, under the name, shape and scale of the output.
    pub(super) fn read(&mut self, node: &Node<'_>, tensors: &mut Tensors<'_>) -> Result<Operator, ImportError> {
        node.counts(1, 1)?;
        let output = tensors.write(node.here, node.outputs[0], &[element::INT8])?;
        let value = self.used(node, tensors, output)?.next;
        node.same_elements(tensors, value, output)?;
        Ok(node.operator(OperatorKind::Reshape, vec![value], output))
    }

    /// `ASSIGN_VARIABLE`: the value that stands there from now on.
    pub(super) fn assign(&mut self, node: &Node<'_>, tensors: &mut Tensors<'_>) -> Result<(), ImportError> {
        node.counts(2, 0)?;
        let &value = node.inputs.get(1).ok_or_else(|| node.here.damaged("the operator has no value"))?;
        let value = tensors.operand(node.here, value)?;
        let state = self.used(node, tensors, value)?;
        node.same_elements(tensors, value, state.tensor)?;
        state.next = value;
        Ok(())
    }

    /// The state that the first input stands for; where this is its first use, of the shape and scale of `like`.
    fn used(&mut self, node: &Node<'_>, tensors: &mut Tensors<'_>, like: TensorId) -> Result<&mut State, ImportError> {
        let here = node.here;
        let position = node.inputs.first().and_then(|handle| self.handles.get(handle));
        let variable = position.and_then(|&position| self.variables.get_mut(position));
        let variable = variable.ok_or_else(|| here.damaged("the variable has no handle before this operator"))?;
        if let Some(ref mut state) = variable.used {
            return Ok(state);
        }
        let tensor = tensors.add_state(here, &variable.name, like)?;
        let elements = tensors.tensor(tensor).elements();
        let zero_point = tensors.tensor(tensor).quantisation.zero_point as i8;
        let initial = variable.initial.take().unwrap_or_else(|| vec![zero_point; elements]);
        if initial.len() != elements {
            let why = format!("the variable `{}` of {elements} elements begins with {}", variable.name, initial.len());
            return Err(here.shape(why));
        }
        Ok(variable.used.insert(State { name: variable.name.clone(), tensor, initial, next: tensor }))
    }

    /// Before subgraph `index` is run once: whether it has not been run before.
    pub(super) fn begin_initialisation(&mut self, here: &Site, index: usize) -> Result<bool, ImportError> {
        if let Some(variable) = self.variables.iter().find(|variable| variable.used.is_some()) {
            return Err(here.unsupported(
                format!("the variable `{}` is used before CALL_ONCE", variable.name),
                "give variables their first values at the start of the network",
            ));
        }
        self.initial_handles.clear();
        Ok(self.initialised.insert(index))
    }

    /// Subgraphs that have been run once.
    pub(super) fn initialisations(&self) -> usize {
        self.initialised.len()
    }

    /// `VAR_HANDLE` in the subgraph that is run once.
    pub(super) fn initial_handle(
        &mut self,
        node: &Node<'_>,
        operator: schema::Operator<'_>,
    ) -> Result<(), ImportError> {
        let (tensor, position) = self.named(node, operator)?;
        self.initial_handles.insert(tensor, position);
        Ok(())
    }

    /// `ASSIGN_VARIABLE` in the subgraph that is run once, whose tensors are `constants`; `tensors` counts what is kept.
    pub(super) fn initial_assignment(
        &mut self,
        node: &Node<'_>,
        constants: &mut Tensors<'_>,
        tensors: &mut Tensors<'_>,
    ) -> Result<(), ImportError> {
        let here = node.here;
        node.counts(2, 0)?;
        let &[handle, value] = node.inputs.as_slice() else {
            return Err(here.damaged("the operator has no value"));
        };
        let position = self.initial_handles.get(&handle);
        let variable = position.and_then(|&position| self.variables.get_mut(position));
        let variable = variable.ok_or_else(|| here.damaged("the variable has no handle before its first value"))?;
        let values = constants.constant::<i8>(here, value, element::INT8, "first values")?.values;
        tensors.charge(here, values.len())?;
        variable.initial = Some(values);
        Ok(())
    }

    /// The states of the graph: those of the variables that the network uses.
    pub(super) fn into_states(self) -> Vec<State> {
        self.variables.into_iter().filter_map(|variable| variable.used).collect()
    }
}
