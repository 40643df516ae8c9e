package nibble.engine.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.BlockDecoder;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.StoredLinear;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.pack.Dequantized;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.ByteBlocks;
import nibble.pack.layout.StoredCodes;

/** Reads weights as files hold them, and makes the forms that a device without kernels for them takes. */
public final class StoredWeights {
    private StoredWeights() {}

    /** A matrix of a checkpoint where it lies: plain numbers in order, or rows of a GGUF file. */
    static Weight matrix(Checkpoint checkpoint, String name) {
        Optional<GgufBlocks> blocks = checkpoint.blocks(name);
        if (blocks.isPresent()
                && !(blocks.get().type().isPlain() && blocks.get().headDim() == 0)) {
            return new BlockWeight(name, blocks.get());
        }
        return new DenseWeight(checkpoint.tensor(name));
    }

    /** A linear's rows of its module's weight. */
    static Weight part(Weight whole, StoredLinear linear) {
        return switch (whole) {
            case DenseWeight(TensorView tensor) -> new DenseWeight(linear.rows(tensor));
            case BlockWeight(String name, GgufBlocks b) ->
                linear.module().isFused()
                        ? new BlockWeight(name, b.part(linear.firstRow(), linear.outFeatures()))
                        : whole;
            default -> throw new IllegalArgumentException(whole.name() + " is no matrix of one tensor");
        };
    }

    /** Returns the bytes of a weight as it is stored, on the host. */
    public static long bytes(Weight weight) {
        return switch (weight) {
            case DenseWeight(TensorView tensor) -> tensor.data().byteSize();
            case BlockWeight(String _, GgufBlocks b) -> b.data().byteSize();
            case QuantizedWeight(QuantizedLinear q) -> q.codes().length + q.zeros().length + 2L * q.scales().length;
            case StoredWeight(StoredCodes codes) ->
                codes.codes().byteSize()
                        + codes.zeros().byteSize()
                        + codes.scales().byteSize();
            case AwqWeight(AwqLayout.AwqLinear linear) -> {
                AwqLayout.AwqTensors tensors = linear.tensors();
                yield tensors.qweight().byteSize()
                        + tensors.qzeros().byteSize()
                        + tensors.scales().byteSize();
            }
            case DeviceWeight device ->
                throw new IllegalArgumentException(device.name() + " lies in the memory of a device, not of the host");
        };
    }

    /** Returns the parts of mapped files that hold a weight; none for what lies on the heap. */
    public static List<MemorySegment> mapped(Weight weight) {
        List<MemorySegment> parts = switch (weight) {
            case DenseWeight(TensorView tensor) -> List.of(tensor.data());
            case BlockWeight(String _, GgufBlocks b) -> List.of(b.data());
            case StoredWeight(StoredCodes codes) -> List.of(codes.codes(), codes.zeros(), codes.scales());
            case AwqWeight(AwqLayout.AwqLinear linear) ->
                List.of(
                        linear.tensors().qweight(),
                        linear.tensors().qzeros(),
                        linear.tensors().scales());
            case QuantizedWeight _, DeviceWeight _ -> List.of();
        };
        return parts.stream()
                .filter(part -> part.isMapped() && part.byteSize() > 0)
                .toList();
    }

    /**
     * Returns rows of a GGUF file as plain numbers in Hugging Face's order, F32 where the file has blocks; GPTQ's and
     * compressed-tensors' 4-bit codes by rows on the heap, 8-bit ones as {@link #cardType}; others as they are.
     */
    public static Weight expanded(Weight weight) {
        return switch (weight) {
            case BlockWeight(String name, GgufBlocks b) -> new DenseWeight(decoded(name, b));
            case StoredWeight(StoredCodes codes) -> expanded(new QuantizedWeight(codes.unpack()), codes.module());
            case QuantizedWeight quantized -> expanded(quantized, weight.name());
            default -> weight;
        };
    }

    private static Weight expanded(QuantizedWeight weight, String name) {
        return cardType(weight)
                .<Weight>map(type -> type.isPlain()
                        ? new DenseWeight(Dequantized.half(name, weight.linear()))
                        : new BlockWeight(name, ByteBlocks.of(weight.linear())))
                .orElse(weight);
    }

    /**
     * Returns the type of a matrix that holds a weight of codes for a device that has no kernels for its bits: blocks
     * of bytes for symmetric 8-bit codes, fp16 for others; empty for 4 bits and for weights without codes.
     */
    public static Optional<GgufType> cardType(Weight weight) {
        return switch (weight) {
            case QuantizedWeight(QuantizedLinear q)
            when q.bits() != 4 -> Optional.of(ByteBlocks.holds(q) ? GgufType.Q8_0 : GgufType.F16);
            case StoredWeight(StoredCodes codes)
            when codes.bits() != 4 -> Optional.of(ByteBlocks.holds(codes) ? GgufType.Q8_0 : GgufType.F16);
            default -> Optional.empty();
        };
    }

    private static TensorView decoded(String name, GgufBlocks b) {
        Shape shape = Shape.of(b.rows(), b.columns());
        MemorySegment values = Arena.ofAuto().allocate(b.type().decoded().bytes(shape.elements()), 64);
        long bytes = values.byteSize() / Math.max(1, b.rows());
        for (int row = 0; row < b.rows(); row++) {
            MemorySegment stored = b.data().asSlice(b.offset(row), b.rowBytes());
            MemorySegment target = values.asSlice(row * bytes, bytes);
            if (b.type().isPlain()) {
                target.copyFrom(stored);
            } else {
                BlockDecoder.decode(b.type(), stored, target);
            }
        }
        return new TensorView(name, b.type().decoded(), shape, values);
    }
}
