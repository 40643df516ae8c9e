package nibble.pack.layout;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.StoredLinear;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorView;
import nibble.pack.ActOrderLinear;
import nibble.pack.Half;
import nibble.pack.PackedLinear;
import nibble.pack.QuantizedLinear;
import nibble.pack.WeightReader;
import nibble.pack.Words;

/** Reads linears of quantized checkpoints, whatever their {@link Layout}. */
public final class PackedLinears {
    private PackedLinears() {}

    /**
     * Returns one of a layer's seven linears as a quantized checkpoint holds it; of a fused module its rows.
     *
     * @throws BadCheckpointException as {@link #read(Checkpoint, LinearModule, int)}
     */
    public static PackedLinear read(Checkpoint checkpoint, Linear linear, int layer) {
        return read(checkpoint, checkpoint.config().stored(linear, layer));
    }

    /**
     * Returns a linear as a quantized checkpoint holds it; of a fused module its rows.
     *
     * @throws BadCheckpointException as {@link #read(Checkpoint, LinearModule, int)}
     */
    public static PackedLinear read(Checkpoint checkpoint, StoredLinear stored) {
        PackedLinear whole = read(checkpoint, stored.module(), stored.layer());
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
     * Returns a module of a quantized checkpoint.
     *
     * @throws BadCheckpointException if the checkpoint is not quantized, a tensor is absent or contradicts the others,
     *     or scales are not what fp16 can hold
     */
    public static PackedLinear read(Checkpoint checkpoint, LinearModule stored, int layer) {
        Layout.Tensors tensors = Layout.Tensors.of(checkpoint, stored, layer);
        return Layout.of(tensors.config().format()).linear(tensors);
    }

    /**
     * Returns a module of a quantized checkpoint where it lies, without unpacking it; nothing where {@link #read} alone
     * gives it.
     *
     * @throws BadCheckpointException as {@link #read(Checkpoint, LinearModule, int)}
     */
    public static Optional<? extends LinearInPlace> inPlace(Checkpoint checkpoint, LinearModule stored, int layer) {
        Layout.Tensors tensors = Layout.Tensors.of(checkpoint, stored, layer);
        try {
            tensors.spec().check(tensors.module() + ".weight", tensors.outFeatures(), tensors.inFeatures());
        } catch (IllegalArgumentException e) {
            throw new BadCheckpointException(checkpoint.configFile(), e.getMessage(), e);
        }
        return Layout.of(tensors.config().format()).inPlace(tensors);
    }

    /** Whether column i is of group i / g: the checkpoint says nothing else of it. */
    static boolean hasPlainGroups(Layout.Tensors tensors) {
        if (!tensors.has(Role.GROUPS)) {
            return true;
        }
        int[] groups = new int[tensors.inFeatures()];
        MemorySegment.copy(tensors.data(Role.GROUPS), Words.INT, 0, groups, 0, groups.length);
        int size = groups.length / tensors.spec().groups(groups.length);
        boolean unsaid = true;
        boolean plain = true;
        for (int column = 0; column < groups.length; column++) {
            unsaid &= groups[column] == -1;
            plain &= groups[column] == column / size;
        }
        return unsaid || plain;
    }

    /** Scales as fp16 bits; of another type only where fp16 holds them without rounding. */
    static MemorySegment scales(Layout.Tensors tensors) {
        Checkpoint checkpoint = tensors.checkpoint();
        String name = tensors.name(Role.SCALES);
        MemorySegment data = tensors.data(Role.SCALES);
        TensorView tensor = checkpoint.tensor(name);
        if (tensor.dtype() == DType.F16) {
            return data;
        }
        float[] values = WeightReader.floats(tensor, checkpoint.fileOf(name));
        MemorySegment halves = Arena.ofAuto().allocate(2L * values.length, 2);
        for (int i = 0; i < values.length; i++) {
            if (Half.round(values[i]) != values[i]) {
                throw new BadCheckpointException(
                        checkpoint.fileOf(name),
                        "tensor " + name + " element [" + i + "] is " + values[i]
                                + ", which fp16 cannot hold exactly; only " + tensor.dtype()
                                + " scales that it can are read");
            }
            halves.set(Words.SHORT, 2L * i, Float.floatToFloat16(values[i]));
        }
        return halves;
    }

    /** The linear with its columns in the groups that the checkpoint's own tensor names, where it has one. */
    static PackedLinear reordered(Layout.Tensors tensors, QuantizedLinear linear) {
        if (!tensors.has(Role.GROUPS)) {
            return linear;
        }
        String name = tensors.name(Role.GROUPS);
        int[] groups = new int[linear.inFeatures()];
        MemorySegment.copy(tensors.data(Role.GROUPS), Words.INT, 0, groups, 0, groups.length);
        // llm-compressor fills it with -1 where the order is plain.
        if (Arrays.stream(groups).allMatch(group -> group == -1)) {
            return linear;
        }
        try {
            return ActOrderLinear.of(linear, groups);
        } catch (IllegalArgumentException e) {
            throw new BadCheckpointException(
                    tensors.checkpoint().fileOf(name), "tensor " + name + ": " + e.getMessage(), e);
        }
    }
}
