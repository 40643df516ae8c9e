package nibble.convert;

import java.util.ArrayList;
import java.util.List;

/**
 * The ways in which checkpoints carry 4-bit linears with a scale and a zero per group of inputs. All hold the same numbers,
 * {@code (code - zero) * scale}; they differ in names, order of nibbles and orientation.
 */
public enum QuantizedFormat {
    /** AutoAWQ's GEMM layout: qweight [in, out/8], qzeros [in/g, out/8], scales [in/g, out]. */
    AWQ_GEMM("awq", "gemm"),

    /** AutoGPTQ's layout with zeros stored less one: qweight [in/8, out], qzeros [in/g, out/8], scales [in/g, out], g_idx [in]. */
    GPTQ("gptq", "gptq"),

    /** As {@link #GPTQ} with zeros as they are. */
    GPTQ_V2("gptq", "gptq_v2"),

    /** compressed-tensors: weight_packed [out, in/8], weight_scale [out, in/g], weight_zero_point [out/8, in/g], weight_shape. */
    COMPRESSED_TENSORS("compressed-tensors", "pack-quantized");

    private final String method;
    private final String version;

    QuantizedFormat(String method, String version) {
        this.method = method;
        this.version = version;
    }

    /** {@code quant_method} in config.json. */
    public String method() {
        return method;
    }

    /** The layout's own name: {@code version}, {@code checkpoint_format} or {@code format} in config.json. */
    public String version() {
        return version;
    }

    public boolean isGptq() {
        return this == GPTQ || this == GPTQ_V2;
    }

    /**
     * The tensors of a linear, in the order in which they are written. {@code g_idx} is among GPTQ's although readers do
     * without; compressed-tensors has no zero points where {@code symmetric}.
     *
     * @param groups groups of a row
     */
    public List<TensorSpec> tensors(String module, long out, long in, long groups, boolean symmetric) {
        return switch (this) {
            case AWQ_GEMM ->
                List.of(
                        new TensorSpec(module + ".qweight", DType.I32, Shape.of(in, out / 8)),
                        new TensorSpec(module + ".qzeros", DType.I32, Shape.of(groups, out / 8)),
                        new TensorSpec(module + ".scales", DType.F16, Shape.of(groups, out)));
            case GPTQ, GPTQ_V2 ->
                List.of(
                        new TensorSpec(module + ".qweight", DType.I32, Shape.of(in / 8, out)),
                        new TensorSpec(module + ".qzeros", DType.I32, Shape.of(groups, out / 8)),
                        new TensorSpec(module + ".scales", DType.F16, Shape.of(groups, out)),
                        new TensorSpec(module + ".g_idx", DType.I32, Shape.of(in)));
            case COMPRESSED_TENSORS -> {
                List<TensorSpec> specs = new ArrayList<>();
                specs.add(new TensorSpec(module + ".weight_packed", DType.I32, Shape.of(out, in / 8)));
                specs.add(new TensorSpec(module + ".weight_scale", DType.F16, Shape.of(out, groups)));
                if (!symmetric) {
                    specs.add(new TensorSpec(module + ".weight_zero_point", DType.I32, Shape.of(out / 8, groups)));
                }
                specs.add(new TensorSpec(module + ".weight_shape", DType.I64, Shape.of(2)));
                yield List.copyOf(specs);
            }
        };
    }
}
