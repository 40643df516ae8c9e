package nibble.engine.cuda;

import nibble.engine.backend.DenseWeight;
import nibble.engine.backend.Weight;
import nibble.engine.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/**
 * A weight on the card for the length of one operation: placed before, or brought for it and given back. Owns the memory in the
 * second case.
 */
final class WeightInUse<W extends CudaWeight> implements AutoCloseable {
    private final W weight;
    private final DeviceMemory.@Nullable Buffer brought;
    private final CudaBackend owner;

    private WeightInUse(W weight, DeviceMemory.@Nullable Buffer brought, CudaBackend owner) {
        this.weight = weight;
        this.brought = brought;
        this.owner = owner;
    }

    W weight() {
        return weight;
    }

    /** @throws IllegalArgumentException if the weight is quantized */
    static WeightInUse<CudaWeight.Dense> dense(Weight weight, CudaBackend owner) {
        return switch (weight) {
            case CudaWeight.Dense placed -> new WeightInUse<>(placed, null, owner);
            case DenseWeight host -> {
                DeviceMemory.Buffer buffer =
                        owner.memory().allocate(2L * host.outFeatures() * host.inFeatures(), host.name());
                owner.stream().synchronize();
                CudaWeight.Dense placed = owner.upload().dense(host, buffer, 0);
                owner.upload().stream().synchronize();
                yield new WeightInUse<>(placed, buffer, owner);
            }
            default -> throw new IllegalArgumentException(weight.name() + ": an unquantized weight is expected");
        };
    }

    /** A 4-bit weight of the host. */
    static WeightInUse<CudaWeight.Nibbles> nibbles(Weight host, CudaBackend owner) {
        int groupSize = CudaLayer.groupSize(host);
        int in = NibbleMatrix.requireFits(host.name(), host.inFeatures());
        DeviceMemory.Buffer buffer =
                owner.memory().allocate(NibbleMatrix.bytes(host.outFeatures(), in, groupSize), host.name());
        NibbleMatrix matrix = new NibbleMatrix(host.outFeatures(), in, groupSize, buffer);
        CudaWeight.Nibbles weight = new CudaWeight.Nibbles(host.name(), host.outFeatures(), matrix, 0, 8);
        owner.stream().synchronize();
        owner.upload().nibbles(host, weight);
        owner.upload().stream().synchronize();
        return new WeightInUse<>(weight, buffer, owner);
    }

    @Override
    public void close() {
        if (brought != null) {
            // Expansion of 4-bit weights has a stream of its own.
            owner.synchronize();
            brought.close();
        }
    }
}
