package nibble.checkpoint.model.quantization;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.model.quantization.LinearTensor.Presence;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import org.jspecify.annotations.Nullable;

/**
 * Lists the ways in which checkpoints carry quantized linears with a scale and a zero per group of inputs. All hold the
 * same numbers, {@code (code - zero) * scale}; they differ in names, order of codes in a word and orientation. Shapes
 * here are those of 4 bits, eight codes a word; at 8 bits a word holds four.
 */
public enum QuantizedFormat {
    /** AutoAWQ's GEMM layout: qweight [in, out/8], qzeros [in/g, out/8], scales [in/g, out]. */
    AWQ_GEMM("awq", "gemm"),

    /**
     * AutoGPTQ's layout with zeros stored less one: qweight [in/8, out], qzeros [in/g, out/8], scales [in/g, out],
     * g_idx [in].
     */
    GPTQ("gptq", "gptq"),

    /** As {@link #GPTQ} with zeros as they are. */
    GPTQ_V2("gptq", "gptq_v2"),

    /**
     * compressed-tensors: weight_packed [out, in/8], weight_scale [out, in/g], weight_zero_point [out/8, in/g],
     * weight_shape.
     */
    COMPRESSED_TENSORS("compressed-tensors", "pack-quantized");

    private final String method;
    private final String version;

    QuantizedFormat(String method, String version) {
        this.method = method;
        this.version = version;
    }

    /** Returns {@code quant_method} of config.json. */
    public String method() {
        return method;
    }

    /** Returns the layout's own name: {@code version}, {@code checkpoint_format} or {@code format} in config.json. */
    public String version() {
        return version;
    }

    /**
     * Returns the version of GPTQ's layout that most programs load: the first, unless its zeros may be any, since no
     * reader agrees with all others on a stored zero of -1.
     */
    public static QuantizedFormat gptq(boolean symmetric) {
        return symmetric ? GPTQ : GPTQ_V2;
    }

    /** Returns the bits of a code that the layout holds in this program. */
    public List<Integer> bits() {
        return this == AWQ_GEMM ? List.of(4) : QuantizationConfig.BITS;
    }

    public boolean isGptq() {
        return this == GPTQ || this == GPTQ_V2;
    }

    /** The end of the name of the tensor with this role, behind the module's name; null where the layout has none. */
    private @Nullable String suffix(Role role) {
        return switch (this) {
            case AWQ_GEMM, GPTQ, GPTQ_V2 ->
                switch (role) {
                    case CODES -> ".qweight";
                    case SCALES -> ".scales";
                    case ZEROS -> ".qzeros";
                    case GROUPS -> isGptq() ? ".g_idx" : null;
                    case SHAPE -> null;
                };
            case COMPRESSED_TENSORS ->
                switch (role) {
                    case CODES -> ".weight_packed";
                    case SCALES -> ".weight_scale";
                    case ZEROS -> ".weight_zero_point";
                    case GROUPS -> ".weight_g_idx";
                    case SHAPE -> ".weight_shape";
                };
        };
    }

    /**
     * Returns the name of a module's tensor.
     *
     * @throws IllegalArgumentException if the layout has no such tensor
     */
    public String name(String module, Role role) {
        String suffix = suffix(role);
        if (suffix == null) {
            throw new IllegalArgumentException(this + " has no tensor for " + role);
        }
        return module + suffix;
    }

    /** Returns whether a tensor of this name has this role in this layout. */
    public boolean isNamed(String tensor, Role role) {
        String suffix = suffix(role);
        return suffix != null && tensor.endsWith(suffix);
    }

    /**
     * Returns all that a file may hold of a linear, in the order in which it is written. compressed-tensors has no
     * zero points where
     * {@code symmetric}.
     *
     * @param groups groups of a row
     * @param bits of a code
     */
    public List<LinearTensor> linear(String module, long out, long in, long groups, int bits, boolean symmetric) {
        long inWords = in * bits / Integer.SIZE;
        long outWords = out * bits / Integer.SIZE;
        List<LinearTensor> tensors = new ArrayList<>();
        switch (this) {
            case AWQ_GEMM -> {
                tensors.add(LinearTensor.required(Role.CODES, spec(module, Role.CODES, DType.I32, in, outWords)));
                tensors.add(LinearTensor.required(Role.ZEROS, spec(module, Role.ZEROS, DType.I32, groups, outWords)));
                tensors.add(LinearTensor.required(Role.SCALES, spec(module, Role.SCALES, DType.F16, groups, out)));
            }
            case GPTQ, GPTQ_V2 -> {
                tensors.add(LinearTensor.required(Role.CODES, spec(module, Role.CODES, DType.I32, inWords, out)));
                tensors.add(LinearTensor.required(Role.ZEROS, spec(module, Role.ZEROS, DType.I32, groups, outWords)));
                tensors.add(LinearTensor.floats(Role.SCALES, spec(module, Role.SCALES, DType.F16, groups, out)));
                TensorSpec order = spec(module, Role.GROUPS, DType.I32, in);
                tensors.add(LinearTensor.optional(Role.GROUPS, order, Presence.WRITTEN));
            }
            case COMPRESSED_TENSORS -> {
                tensors.add(LinearTensor.required(Role.CODES, spec(module, Role.CODES, DType.I32, out, inWords)));
                tensors.add(LinearTensor.floats(Role.SCALES, spec(module, Role.SCALES, DType.F16, out, groups)));
                if (!symmetric) {
                    TensorSpec zeros = spec(module, Role.ZEROS, DType.I32, outWords, groups);
                    tensors.add(LinearTensor.required(Role.ZEROS, zeros));
                }
                TensorSpec order = spec(module, Role.GROUPS, DType.I32, in);
                tensors.add(LinearTensor.optional(Role.GROUPS, order, Presence.FOREIGN));
                TensorSpec shape = spec(module, Role.SHAPE, DType.I64, 2);
                tensors.add(LinearTensor.optional(Role.SHAPE, shape, Presence.WRITTEN));
            }
        }
        return List.copyOf(tensors);
    }

    /** Returns the tensors of a linear that are written, in their order. */
    public List<TensorSpec> tensors(String module, long out, long in, long groups, int bits, boolean symmetric) {
        return linear(module, out, in, groups, bits, symmetric).stream()
                .filter(tensor -> tensor.presence() != Presence.FOREIGN)
                .map(LinearTensor::spec)
                .toList();
    }

    /**
     * Returns whether the layout packs inputs in a word of codes, so that in-features are a multiple of 8; AWQ packs
     * outputs.
     */
    public boolean packsInputs() {
        return this != AWQ_GEMM;
    }

    /**
     * Returns a note for a user on the programs that load the layout, in words; empty where all that know it load it.
     */
    public Optional<String> loaderNote(boolean symmetric, boolean experts) {
        if (isGptq() && !symmetric) {
            return Optional.of(
                    "vLLM since 0.17 refuses GPTQ files with zero points, which this is; GPTQModel loads it. For"
                            + " vLLM take the format compressed-tensors or awq, which hold the same numbers");
        }
        return this == COMPRESSED_TENSORS && experts && !symmetric
                ? Optional.of(
                        "transformers 5.17 does not read the zero points of experts, which this has; vLLM does. For"
                                + " transformers give --symmetric")
                : Optional.empty();
    }

    private TensorSpec spec(String module, Role role, DType type, long... shape) {
        return new TensorSpec(name(module, role), type, Shape.of(shape));
    }
}
