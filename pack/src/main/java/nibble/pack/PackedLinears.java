package nibble.pack;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Optional;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.DType;
import nibble.convert.LinearModule;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.convert.QuantizationConfig;
import nibble.convert.QuantizedFormat;
import nibble.convert.StoredLinear;
import nibble.convert.StoredTensor;
import nibble.convert.TensorSpec;
import nibble.convert.TensorView;

/** Linears of quantized checkpoints, in and out of every {@link QuantizedFormat}. */
public final class PackedLinears {
    private static final ValueLayout.OfLong LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private PackedLinears() {}

    /**
     * One of a layer's seven linears as a quantized checkpoint holds it; of a fused module its rows.
     *
     * @throws BadCheckpointException as {@link #read(Checkpoint, LinearModule, int)}
     */
    public static PackedLinear read(Checkpoint checkpoint, LlamaLinear linear, int layer) {
        StoredLinear stored = checkpoint.config().stored(linear, layer);
        PackedLinear whole = read(checkpoint, stored.module(), layer);
        if (!stored.module().isFused()) {
            return whole;
        }
        return switch (whole) {
            case QuantizedLinear plain -> plain.rows(stored.firstRow(), stored.outFeatures());
            case ActOrderLinear(QuantizedLinear codes, int[] groups) ->
                new ActOrderLinear(codes.rows(stored.firstRow(), stored.outFeatures()), groups);
        };
    }

    /**
     * A module of a quantized checkpoint.
     *
     * @throws BadCheckpointException if the checkpoint is not quantized, a tensor is absent or contradicts the others, or
     *     scales are not what fp16 can hold
     */
    public static PackedLinear read(Checkpoint checkpoint, LinearModule stored, int layer) {
        LlamaConfig config = checkpoint.config();
        QuantizationConfig quantization = config.quantization()
                .orElseThrow(() -> new BadCheckpointException(
                        checkpoint.folder(), "config.json has no quantization_config: this checkpoint is not quantized"));
        String module = stored.name(layer);
        int out = config.outFeatures(stored);
        int in = config.inFeatures(stored);
        QuantizationSpec spec = new QuantizationSpec(quantization.bits(), quantization.groupSize());
        QuantizedFormat format = quantization.format();
        return switch (format) {
            case AWQ_GEMM -> AwqLayout.read(checkpoint, stored, layer).unpack();
            case GPTQ, GPTQ_V2 ->
                reordered(
                        checkpoint,
                        module + ".g_idx",
                        GptqLayout.unpack(
                                checkpoint.tensor(module + ".qweight").data(),
                                checkpoint.tensor(module + ".qzeros").data(),
                                scales(checkpoint, module + ".scales"),
                                out,
                                in,
                                spec,
                                format == QuantizedFormat.GPTQ));
            case COMPRESSED_TENSORS -> {
                requireShape(checkpoint, module + ".weight_shape", out, in);
                MemorySegment zeros = quantization.symmetric()
                        ? MemorySegment.ofArray(new byte[0])
                        : checkpoint.tensor(module + ".weight_zero_point").data();
                MemorySegment packed = checkpoint.tensor(module + ".weight_packed").data();
                MemorySegment scales = scales(checkpoint, module + ".weight_scale");
                yield reordered(
                        checkpoint,
                        module + ".weight_g_idx",
                        CompressedTensorsLayout.unpack(packed, scales, zeros, out, in, spec));
            }
        };
    }

    /** Scales as fp16 bits; of another type only where fp16 holds them without rounding. */
    private static MemorySegment scales(Checkpoint checkpoint, String name) {
        TensorView tensor = checkpoint.tensor(name);
        if (tensor.dtype() == DType.F16) {
            return tensor.data();
        }
        float[] values = WeightReader.floats(tensor, checkpoint.fileOf(name));
        MemorySegment halves = Arena.ofAuto().allocate(2L * values.length, 2);
        for (int i = 0; i < values.length; i++) {
            if (Half.round(values[i]) != values[i]) {
                throw new BadCheckpointException(
                        checkpoint.fileOf(name),
                        "tensor " + name + " element [" + i + "] is " + values[i] + ", which fp16 cannot hold exactly; only "
                                + tensor.dtype() + " scales that it can are read");
            }
            halves.set(Words.SHORT, 2L * i, Float.floatToFloat16(values[i]));
        }
        return halves;
    }

    private static PackedLinear reordered(Checkpoint checkpoint, String name, QuantizedLinear linear) {
        Optional<StoredTensor> stored = checkpoint.stored(name);
        if (stored.isEmpty()) {
            return linear;
        }
        TensorView tensor = stored.get().view();
        if (tensor.dtype() != DType.I32 || tensor.shape().elements() != linear.inFeatures()) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + name + " is " + tensor.dtype() + " " + tensor.shape() + ", expected I32 ["
                            + linear.inFeatures() + "], a group for each input");
        }
        int[] groups = new int[linear.inFeatures()];
        MemorySegment.copy(tensor.data(), Words.INT, 0, groups, 0, groups.length);
        // llm-compressor fills it with -1 where the order is plain.
        if (java.util.Arrays.stream(groups).allMatch(group -> group == -1)) {
            return linear;
        }
        try {
            return ActOrderLinear.of(linear, groups);
        } catch (IllegalArgumentException e) {
            throw new BadCheckpointException(checkpoint.fileOf(name), "tensor " + name + ": " + e.getMessage(), e);
        }
    }

    private static void requireShape(Checkpoint checkpoint, String name, int out, int in) {
        Optional<StoredTensor> stored = checkpoint.stored(name);
        if (stored.isEmpty()) {
            return;
        }
        MemorySegment shape = stored.get().view().data();
        if (shape.get(LONG, 0) != out || shape.get(LONG, 8) != in) {
            throw new BadCheckpointException(
                    checkpoint.fileOf(name),
                    "tensor " + name + " says [" + shape.get(LONG, 0) + ", " + shape.get(LONG, 8) + "], config.json asks for ["
                            + out + ", " + in + "]; config and weights are of different models, get both again");
        }
    }

    /** Name, type and shape of the tensors of a linear. */
    static List<TensorSpec> specs(
            QuantizedFormat format, String module, int out, int in, QuantizationSpec spec, boolean symmetric) {
        spec.check(module + ".weight", out, in);
        if (format != QuantizedFormat.AWQ_GEMM && in % 8 != 0) {
            throw new IllegalArgumentException("tensor " + module + ".weight: in-features " + in
                    + " are not a multiple of 8, as " + format.method() + " needs");
        }
        return format.tensors(module, out, in, spec.groups(in), symmetric);
    }

    /**
     * The data of the tensors of a linear, in the order of {@link #specs}.
     *
     * @throws IllegalArgumentException if the layout cannot hold the linear exactly, saying why
     */
    static List<MemorySegment> pack(QuantizedFormat format, QuantizedLinear linear, boolean symmetric) {
        if (symmetric && !CompressedTensorsLayout.isSymmetric(linear)) {
            throw new IllegalArgumentException("its zeros are not all 8 although the config says that it is symmetric");
        }
        return switch (format) {
            case AWQ_GEMM -> {
                AwqLayout.AwqTensors tensors = AwqLayout.pack(linear);
                yield List.of(tensors.qweight(), tensors.qzeros(), tensors.scales());
            }
            case GPTQ -> {
                if (!GptqLayout.fitsFirstVersion(linear)) {
                    throw new IllegalArgumentException(
                            "it has zeros of 0, which GPTQ's first version cannot hold; convert to gptq, the second one");
                }
                yield List.of(GptqLayout.pack(linear, true));
            }
            case GPTQ_V2 -> List.of(GptqLayout.pack(linear, false));
            case COMPRESSED_TENSORS -> {
                MemorySegment codes = CompressedTensorsLayout.packed(linear);
                MemorySegment scales = CompressedTensorsLayout.scales(linear);
                MemorySegment shape = CompressedTensorsLayout.shape(linear);
                yield symmetric
                        ? List.of(codes, scales, shape)
                        : List.of(codes, scales, CompressedTensorsLayout.zeroPoints(linear), shape);
            }
        };
    }
}
