package nibble.engine.host.stored;

import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.ByteGemm;
import nibble.engine.host.natives.Kernels;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.Weight;

/** Multiplies many rows of activations in bytes by weights as GGUF files hold them, by AMX's tiles or by AVX2. */
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
        return weight instanceof BlockWeight(String _, GgufBlocks blocks)
                && blocks.data().isNative()
                && !blocks.type().isPlain()
                && blocks.columns() > 0
                && blocks.columns() % blocks.type().blockElements() == 0;
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
            if (!(weights.get(i) instanceof BlockWeight(String _, GgufBlocks blocks)) || !takes(weights.get(i))) {
                throw new IllegalArgumentException(weights.get(i).name() + " has no blocks in a mapped file");
            }
            long address = Stored.require(blocks.data(), blocks.rows() * blocks.rowBytes());
            products.add(new ByteGemm.Product(blocks, address, outs.get(i)));
        }
        gemm.multiply(workers, x, rows, weights.getFirst().inFeatures(), products);
        Reference.reachabilityFence(weights);
    }
}
