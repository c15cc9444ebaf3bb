//! Other shapes and other orders of axes. Nothing moves: what the elements are called changes ([`super::super::layout`]).

use super::super::node::Node;
use super::super::value::{Activation, Constant, Value};
use super::super::{ImportError, Importer, ORDER, RANK_LIMIT};
use super::{operand, resolve_axes, resolve_axis};

/// Gives the result the elements of `from` under another shape.
fn named<'a>(
    importer: &mut Importer<'a>,
    node: &Node<'a>,
    from: Activation,
    shape: Vec<usize>,
) -> Result<(), ImportError> {
    if shape.len() > RANK_LIMIT {
        return Err(node.here.shape(format!("{} axes, more than {RANK_LIMIT}", shape.len())));
    }
    importer.put(node.output()?, Value::Activation(Activation { shape, ..from }));
    Ok(())
}

/// The shape that `Reshape` makes of `shape`: 0 copies a size, -1 is what is left.
fn reshaped<'a>(importer: &Importer<'a>, node: &Node<'a>, shape: &[usize]) -> Result<Vec<usize>, ImportError> {
    node.only(2, &["allowzero", "shape"])?;
    let here = &node.here;
    let wanted = node.listed(importer, "shape", 1)?.ok_or_else(|| here.damaged("the operator has no shape"))?;
    let wrong = || here.shape(format!("shape {shape:?} does not become {wanted:?}"));
    let elements: usize = shape.iter().product();
    let copies = node.integer("allowzero", 0) == 0;
    let mut sizes = Vec::new();
    for (axis, &size) in wanted.iter().enumerate() {
        sizes.push(match size {
            -1 => None,
            0 if copies => Some(*shape.get(axis).ok_or_else(wrong)?),
            _ => Some(usize::try_from(size).map_err(|_| wrong())?),
        });
    }
    // Beside an axis of no elements, others could be beyond counting.
    let counted = sizes.iter().flatten().try_fold(1_usize, |product, &size| product.checked_mul(size.max(1)));
    counted.ok_or_else(wrong)?;
    let known: usize = sizes.iter().flatten().product();
    let open = sizes.iter().filter(|size| size.is_none()).count();
    let rest = match open {
        0 if known == elements => 1,
        1 if known > 0 && elements.is_multiple_of(known) => elements / known,
        _ => return Err(wrong()),
    };
    Ok(sizes.into_iter().map(|size| size.unwrap_or(rest)).collect())
}

pub(super) fn reshape<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    let from = node.activation(importer, 0)?;
    let shape = reshaped(importer, node, &from.shape)?;
    named(importer, node, from, shape)
}

pub(super) fn reshape_constant<'a>(importer: &Importer<'a>, node: &Node<'a>) -> Result<Constant, ImportError> {
    let constant = operand(importer, node)?;
    let shape = reshaped(importer, node, &constant.shape)?;
    if constant.scaling.as_ref().is_some_and(|scaling| scaling.scales.len() > 1) && shape != constant.shape {
        return Err(node.here.unsupported("another shape of a constant with several scales", super::super::FOLD));
    }
    Ok(Constant { shape, ..constant })
}

pub(super) fn flatten<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(1, &["axis"])?;
    let from = node.activation(importer, 0)?;
    let rank = from.shape.len();
    let axis = match node.integer("axis", 1) {
        axis if axis == rank as i64 => rank,
        axis => resolve_axis(&node.here, axis, rank)?,
    };
    let (before, behind) = from.shape.split_at(axis);
    let shape = vec![before.iter().product(), behind.iter().product()];
    named(importer, node, from, shape)
}

pub(super) fn squeeze<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(2, &["axes"])?;
    let from = node.activation(importer, 0)?;
    let axes = match node.listed(importer, "axes", 1)? {
        Some(axes) => resolve_axes(&node.here, &axes, from.shape.len())?,
        None => (0..from.shape.len()).filter(|&axis| from.shape[axis] == 1).collect(),
    };
    if axes.iter().any(|&axis| from.shape[axis] != 1) {
        return Err(node.here.shape(format!("axes {axes:?} of shape {:?}, which are not all of size 1", from.shape)));
    }
    let shape = (0..from.shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| from.shape[axis]).collect();
    named(importer, node, from, shape)
}

pub(super) fn unsqueeze<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(2, &["axes"])?;
    let from = node.activation(importer, 0)?;
    let axes = node.listed(importer, "axes", 1)?.unwrap_or_default();
    if axes.len() > RANK_LIMIT {
        return Err(node.here.shape(format!("{} new axes, more than {RANK_LIMIT}", axes.len())));
    }
    let mut shape = from.shape.clone();
    for axis in resolve_axes(&node.here, &axes, from.shape.len() + axes.len())? {
        shape.insert(axis.min(shape.len()), 1);
    }
    named(importer, node, from, shape)
}

pub(super) fn identity<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    node.only(1, &[])?;
    let from = node.activation(importer, 0)?;
    let shape = from.shape.clone();
    named(importer, node, from, shape)
}

/// Which old axis each new one is.
fn permutation(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, ImportError> {
    node.only(1, &["perm"])?;
    let Some(axes) = node.integers("perm") else { return Ok((0..rank).rev().collect()) };
    let order = axes.iter().map(|&axis| resolve_axis(&node.here, axis, rank)).collect::<Result<Vec<_>, _>>()?;
    if order.len() == rank && (0..rank).all(|axis| order.contains(&axis)) {
        return Ok(order);
    }
    Err(node.here.shape(format!("axes in the order {axes:?} of a tensor of {rank} axes")))
}

pub(super) fn transpose<'a>(importer: &mut Importer<'a>, node: &Node<'a>) -> Result<(), ImportError> {
    let from = node.activation(importer, 0)?;
    let order = permutation(node, from.shape.len())?;
    let Some(layout) = from.layout.transposed(&from.shape, &order) else {
        return Err(node.here.unsupported("a transposition of axes that do not stand apart in memory", ORDER));
    };
    let shape = super::super::layout::permuted(&from.shape, &order);
    named(importer, node, Activation { layout, ..from }, shape)
}

pub(super) fn transpose_constant<'a>(importer: &Importer<'a>, node: &Node<'a>) -> Result<Constant, ImportError> {
    let constant = operand(importer, node)?;
    let order = permutation(node, constant.shape.len())?;
    Ok(constant.transposed(&order))
}
