//! The tables of TensorFlow Lite's schema, as far as they are read: fields by name, numbered as in the schema.

use super::flatbuffer::{Numbers, Result, Table, Tables};
use super::names::FULLY_CONNECTED_OPTIONS;

/// Bytes of a name that are kept.
const NAME_LIMIT: usize = 200;

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident { $($field:ident: $kind:ident $(<$number:ty>)? = $id:literal $(or $default:literal)?;)* })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $table<'a>(pub(super) Table<'a>);

        impl<'a> $table<'a> { $(
            tables!(@field $field $kind $($number)? , $id $($default)?);
        )* }
    )* };
    (@field $field:ident number $number:ty, $id:literal $default:literal) => {
        pub(super) fn $field(&self) -> Result<$number> {
            self.0.number($id, $default)
        }
    };
    (@field $field:ident numbers $number:ty, $id:literal) => {
        pub(super) fn $field(&self) -> Result<Option<Numbers<'a, $number>>> {
            self.0.numbers($id)
        }
    };
    (@field $field:ident tables , $id:literal) => {
        pub(super) fn $field(&self) -> Result<Tables<'a>> {
            self.0.tables($id)
        }
    };
    (@field $field:ident table , $id:literal) => {
        pub(super) fn $field(&self) -> Result<Option<Table<'a>>> {
            self.0.table($id)
        }
    };
    (@field $field:ident text , $id:literal) => {
        pub(super) fn $field(&self) -> Result<Option<String>> {
            self.0.text($id, NAME_LIMIT)
        }
    };
}

tables! {
    /// The file.
    Model {
        version: number<u32> = 0 or 0;
        operator_codes: tables = 1;
        subgraphs: tables = 2;
        buffers: tables = 4;
    }
    /// What an operator is; operators name it by its position.
    OperatorCode {
        deprecated_builtin_code: number<i8> = 0 or 0;
        custom_code: text = 1;
        builtin_code: number<i32> = 3 or 0;
    }
    /// One graph.
    SubGraph {
        tensors: tables = 0;
        inputs: numbers<i32> = 1;
        outputs: numbers<i32> = 2;
        operators: tables = 3;
    }
    /// One tensor; constant where its buffer has content.
    Tensor {
        shape: numbers<i32> = 0;
        element: number<i8> = 1 or 0;
        buffer: number<u32> = 2 or 0;
        name: text = 3;
        quantization: table = 4;
        is_variable: number<u8> = 5 or 0;
        sparsity: table = 6;
        external_buffer: number<u32> = 10 or 0;
    }
    /// Scales and zero points.
    QuantizationParameters {
        scale: numbers<f32> = 2;
        zero_point: numbers<i64> = 3;
        details_type: number<u8> = 4 or 0;
        quantized_dimension: number<i32> = 6 or 0;
    }
    /// One operator; tensors by their position, -1 where an optional one is absent.
    Operator {
        opcode_index: number<u32> = 0 or 0;
        inputs: numbers<i32> = 1;
        outputs: numbers<i32> = 2;
        builtin_options_type: number<u8> = 3 or 0;
        builtin_options: table = 4;
    }
    /// The content of constant tensors.
    Buffer {
        data: numbers<u8> = 0;
        offset: number<u64> = 1 or 0;
        size: number<u64> = 2 or 0;
    }
    /// Options of `FULLY_CONNECTED`.
    FullyConnectedOptions {
        fused_activation_function: number<i8> = 0 or 0;
        weights_format: number<i8> = 1 or 0;
    }
}

impl OperatorCode<'_> {
    /// The operator's code: files of before 2020 have it in the field of one byte alone, later ones in both or, above 127,
    /// in the wide one.
    pub(super) fn code(&self) -> Result<i32> {
        Ok(self.builtin_code()?.max(self.deprecated_builtin_code()?.into()))
    }
}

impl<'a> Operator<'a> {
    /// The options as those of `FULLY_CONNECTED`; `None` where there are none or of another operator.
    pub(super) fn fully_connected_options(&self) -> Result<Option<FullyConnectedOptions<'a>>> {
        if self.builtin_options_type()? != FULLY_CONNECTED_OPTIONS {
            return Ok(None);
        }
        Ok(self.builtin_options()?.map(FullyConnectedOptions))
    }
}
