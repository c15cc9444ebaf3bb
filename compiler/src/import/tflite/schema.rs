//! The tables of TensorFlow Lite's schema, as far as they are read: fields by name, numbered as in the schema.

use super::flatbuffer::{Numbers, Result, Table, Tables};
use super::names::options;

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
    /// Options of `CONV_2D`.
    Conv2DOptions {
        padding: number<i8> = 0 or 0;
        stride_w: number<i32> = 1 or 0;
        stride_h: number<i32> = 2 or 0;
        fused_activation_function: number<i8> = 3 or 0;
        dilation_w_factor: number<i32> = 4 or 1;
        dilation_h_factor: number<i32> = 5 or 1;
    }
    /// Options of `DEPTHWISE_CONV_2D`.
    DepthwiseConv2DOptions {
        padding: number<i8> = 0 or 0;
        stride_w: number<i32> = 1 or 0;
        stride_h: number<i32> = 2 or 0;
        depth_multiplier: number<i32> = 3 or 0;
        fused_activation_function: number<i8> = 4 or 0;
        dilation_w_factor: number<i32> = 5 or 1;
        dilation_h_factor: number<i32> = 6 or 1;
    }
    /// Options of `AVERAGE_POOL_2D` and `MAX_POOL_2D`.
    Pool2DOptions {
        padding: number<i8> = 0 or 0;
        stride_w: number<i32> = 1 or 0;
        stride_h: number<i32> = 2 or 0;
        filter_width: number<i32> = 3 or 0;
        filter_height: number<i32> = 4 or 0;
        fused_activation_function: number<i8> = 5 or 0;
    }
    /// Options of `SOFTMAX`.
    SoftmaxOptions {
        beta: number<f32> = 0 or 0.0;
    }
    /// Options of `CONCATENATION`.
    ConcatenationOptions {
        axis: number<i32> = 0 or 0;
        fused_activation_function: number<i8> = 1 or 0;
    }
    /// Options of `ADD`.
    AddOptions {
        fused_activation_function: number<i8> = 0 or 0;
    }
    /// Options of `MUL`.
    MulOptions {
        fused_activation_function: number<i8> = 0 or 0;
    }
    /// Options of `STRIDED_SLICE`. The masks have a bit for each axis.
    StridedSliceOptions {
        begin_mask: number<i32> = 0 or 0;
        end_mask: number<i32> = 1 or 0;
        ellipsis_mask: number<i32> = 2 or 0;
        new_axis_mask: number<i32> = 3 or 0;
        shrink_axis_mask: number<i32> = 4 or 0;
        offset: number<u8> = 5 or 0;
    }
    /// Options of `CALL_ONCE`.
    CallOnceOptions {
        init_subgraph_index: number<i32> = 0 or 0;
    }
    /// Options of `VAR_HANDLE`.
    VarHandleOptions {
        container: numbers<u8> = 0;
        shared_name: numbers<u8> = 1;
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

macro_rules! typed_options {
    ($($method:ident: $table:ident = $code:ident;)*) => {
        impl<'a> Operator<'a> { $(
            /// The options as those of the operator; `None` where there are none or of another operator.
            pub(super) fn $method(&self) -> Result<Option<$table<'a>>> {
                if self.builtin_options_type()? != options::$code {
                    return Ok(None);
                }
                Ok(self.builtin_options()?.map($table))
            }
        )* }
    };
}

typed_options! {
    conv_2d_options: Conv2DOptions = CONV_2D;
    depthwise_conv_2d_options: DepthwiseConv2DOptions = DEPTHWISE_CONV_2D;
    pool_2d_options: Pool2DOptions = POOL_2D;
    fully_connected_options: FullyConnectedOptions = FULLY_CONNECTED;
    softmax_options: SoftmaxOptions = SOFTMAX;
    concatenation_options: ConcatenationOptions = CONCATENATION;
    add_options: AddOptions = ADD;
    mul_options: MulOptions = MUL;
    strided_slice_options: StridedSliceOptions = STRIDED_SLICE;
    call_once_options: CallOnceOptions = CALL_ONCE;
    var_handle_options: VarHandleOptions = VAR_HANDLE;
}
