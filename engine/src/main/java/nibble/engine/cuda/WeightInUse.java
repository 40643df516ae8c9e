package nibble.engine.cuda;

import nibble.checkpoint.gguf.GgufBlocks;
import nibble.engine.cuda.data.BlockMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.NibbleMatrix;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.DeviceWeight;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.engine.tensor.StoredWeights;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * A weight on the card for the length of one operation: placed before, or brought for it and given back. Owns the
 * memory in the second case.
 */
final class WeightInUse<W extends CudaWeight> implements AutoCloseable {
    private final W weight;
    private final DeviceMemory.@Nullable Buffer brought;
    private final CudaResources card;

    private WeightInUse(W weight, DeviceMemory.@Nullable Buffer brought, CudaResources card) {
        this.weight = weight;
        this.brought = brought;
        this.card = card;
    }

    W weight() {
        return weight;
    }

    /** @throws IllegalArgumentException if the weight is quantized */
    static WeightInUse<CudaWeight.Dense> dense(Weight weight, CudaResources card, WeightUpload upload) {
        return switch (weight) {
            case CudaWeight.Dense placed -> new WeightInUse<>(placed, null, card);
            case DenseWeight host -> {
                DeviceMemory.Buffer buffer =
                        card.memory().allocate(2L * host.outFeatures() * host.inFeatures(), host.name());
                card.stream().synchronize();
                CudaWeight.Dense placed = upload.dense(host, buffer, 0);
                upload.stream().synchronize();
                yield new WeightInUse<>(placed, buffer, card);
            }
            default -> throw new IllegalArgumentException(weight.name() + ": an unquantized weight is expected");
        };
    }

    /** A weight in any of the forms that a card keeps. */
    static WeightInUse<? extends CudaWeight> any(Weight weight, CudaResources card, WeightUpload upload) {
        return switch (weight) {
            case CudaWeight placed -> new WeightInUse<>(placed, null, card);
            case DenseWeight host -> dense(host, card, upload);
            case QuantizedWeight(QuantizedLinear linear)
            when linear.bits() != 4 -> any(StoredWeights.expanded(weight), card, upload);
            case QuantizedWeight _, AwqWeight _ -> tiled(weight, card, upload);
            case BlockWeight(String _, GgufBlocks blocks) when !blocks.type().isPlain() -> tiled(weight, card, upload);
            case BlockWeight _, StoredWeight _ -> any(StoredWeights.expanded(weight), card, upload);
            case DeviceWeight other -> throw new IllegalArgumentException(other.name() + " lies on another device");
        };
    }

    /** A quantized weight of the host: 4-bit codes, or blocks of GGUF. */
    private static WeightInUse<CudaWeight.Tiled> tiled(Weight host, CudaResources card, WeightUpload upload) {
        if (host instanceof BlockWeight(String name, GgufBlocks blocks)) {
            long bytes = BlockMatrix.bytes(blocks.type(), blocks.rows(), blocks.columns());
            DeviceMemory.Buffer buffer = card.memory().allocate(bytes, name);
            try {
                card.stream().synchronize();
                CudaWeight.Tiled weight = upload.blocks(name, blocks, buffer);
                upload.stream().synchronize();
                return new WeightInUse<>(weight, buffer, card);
            } catch (RuntimeException e) {
                buffer.close();
                throw e;
            }
        }
        int groupSize = CudaLayer.groupSize(host);
        int in = NibbleMatrix.requireFits(host.name(), host.inFeatures());
        DeviceMemory.Buffer buffer =
                card.memory().allocate(NibbleMatrix.bytes(host.outFeatures(), in, groupSize), host.name());
        NibbleMatrix matrix = new NibbleMatrix(host.outFeatures(), in, groupSize, buffer, 0);
        CudaWeight.Tiled weight = new CudaWeight.Tiled(host.name(), host.outFeatures(), matrix, 0, 8);
        card.stream().synchronize();
        upload.nibbles(host, weight);
        upload.stream().synchronize();
        return new WeightInUse<>(weight, buffer, card);
    }

    @Override
    public void close() {
        if (brought != null) {
            // Expansion of 4-bit weights has a stream of its own.
            card.synchronize();
            brought.close();
        }
    }
}
