package nibble.engine.cuda;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.engine.cuda.data.BlockMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.NibbleMatrix;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Weight;

/**
 * Names the types of a model's weights as {@code decode_step.cu} takes them.
 *
 * @param constants that the kernel is compiled with
 */
record DecodedTypes(Map<String, Integer> constants) {
    /** The number of fp16 in {@code blocks.cuh}. */
    private static final int F16 = 1;

    /**
     * Returns the types of a model whose layers are on the card, unless the kernel has no mixture of them: fp16 beside
     * others, two sizes of groups, gate and up of two types, an embedding or a head of 4-bit codes.
     */
    static Optional<DecodedTypes> of(CudaPlacedModel model) {
        int types = 0;
        Set<Integer> groupSizes = new HashSet<>();
        for (int i = 0; i < model.config().layers(); i++) {
            DecoderLayer layer = model.layer(i);
            if (layer.feedForward().mlps().stream().anyMatch(mlp -> typed(mlp.up(), mlp.gate()) != 0)) {
                return Optional.empty();
            }
            for (Weight weight : layer.weights().toList()) {
                if (type(weight) >= Integer.SIZE) {
                    // The kernel has a bit for each type.
                    return Optional.empty();
                }
                types |= 1 << type(weight);
                if (weight instanceof CudaWeight.Tiled tiled && tiled.matrix() instanceof NibbleMatrix nibbles) {
                    groupSizes.add(nibbles.groupSize());
                }
            }
        }
        boolean mixed = (types & 1 << F16) != 0 && types != 1 << F16;
        if (mixed || groupSizes.size() > 1 || !outer(model.embedding()) || !outer(model.head())) {
            return Optional.empty();
        }
        Map<String, Integer> constants =
                new HashMap<>(Map.of("TYPES", types, "EMBEDDING", type(model.embedding()), "HEAD", type(model.head())));
        groupSizes.forEach(size -> constants.put("GROUP_SIZE", size));
        return Optional.of(new DecodedTypes(constants));
    }

    private static boolean outer(Weight weight) {
        return weight instanceof CudaWeight.Dense
                || weight instanceof CudaWeight.Tiled tiled
                        && tiled.matrix() instanceof BlockMatrix
                        && type(weight) < Integer.SIZE;
    }

    private static int type(Weight weight) {
        return weight instanceof CudaWeight.Tiled tiled ? tiled.matrix().type() : F16;
    }

    /** The matrix that begins with this weight. */
    static long address(Weight weight) {
        return switch (weight) {
            case CudaWeight.Dense dense -> dense.address();
            case CudaWeight.Tiled tiled -> tiled.matrix().address();
            default -> throw new IllegalArgumentException(weight.name() + " is not on the card");
        };
    }

    /** The matrix that begins with this weight, and its type in the bits that addresses leave. */
    static long typed(Weight weight) {
        return address(weight) | type(weight);
    }

    /** As {@link #typed(Weight)}, but 0 for a weight that lies in the matrix of the one before. */
    static long typed(Weight weight, Weight before) {
        boolean together = switch (weight) {
            case CudaWeight.Tiled tiled -> before instanceof CudaWeight.Tiled other && other.matrix() == tiled.matrix();
            default -> type(before) == F16;
        };
        return together ? 0 : typed(weight);
    }
}
