package nibble.engine.host.stored;

import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.ByteGemm;
import nibble.engine.host.natives.ByteMatrix;
import nibble.engine.host.natives.Kernels;
import nibble.engine.tensor.AwqWeight;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.StoredWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.StoredCodes;

/** Multiplies many rows of activations in bytes by weights as files hold them, by AMX's tiles or by AVX2. */
public final class ByteTiles {
    private final ByteGemm gemm;

    /**
     * Multiplies as some kernels do.
     *
     * @param kernels that {@link Kernels#multipliesManyBytes}
     */
    public ByteTiles(Kernels kernels) {
        this.gemm = new ByteGemm(kernels);
    }

    /** Returns whether a weight can be multiplied so. */
    public static boolean takes(Weight weight) {
        return FewRows.takesBytes(weight)
                && !(weight instanceof BlockWeight(String _, GgufBlocks blocks)
                        && (blocks.columns() == 0
                                || blocks.columns() % blocks.type().blockElements() != 0));
    }

    /**
     * Multiplies by weights that share their inputs.
     *
     * @param x rows of the weights' inputs
     * @param outs [rows, outputs] of each weight
     */
    public void multiply(Workers workers, List<Weight> weights, float[] x, int rows, List<float[]> outs) {
        List<ByteGemm.Product> products = new ArrayList<>();
        for (int i = 0; i < weights.size(); i++) {
            products.add(new ByteGemm.Product(matrix(weights.get(i)), outs.get(i)));
        }
        gemm.multiply(workers, x, rows, weights.getFirst().inFeatures(), products);
        Reference.reachabilityFence(weights);
    }

    private static ByteMatrix matrix(Weight weight) {
        if (!takes(weight)) {
            throw new IllegalArgumentException(weight.name() + " has no blocks or codes in a mapped file");
        }
        return switch (weight) {
            case BlockWeight(String _, GgufBlocks blocks) ->
                new ByteMatrix.Blocks(blocks, Stored.require(blocks.data(), blocks.rows() * blocks.rowBytes()));
            case AwqWeight(AwqLayout.AwqLinear linear) -> NativeCodes.matrix(linear);
            case StoredWeight(StoredCodes codes) -> NativeCodes.matrix(codes);
            default -> throw new IllegalStateException(weight.name() + " is no weight of a file");
        };
    }
}
