package nibble.engine.selftest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.tensor.DType;
import nibble.engine.backend.Backend;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.stored.FewRows;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Texts that are generated together must not see each other: each of some rows has the bits that it has alone. */
class RowsTogetherTest {
    static List<Kernels> kernels() {
        List<Kernels> all = Kernels.all();
        assumeFalse(all.isEmpty(), "no native kernels here: " + Kernels.whyNone());
        return all;
    }

    static List<Weight> weights() {
        Operands operands = new Operands(29);
        List<Weight> weights = new ArrayList<>();
        for (DType type : new DType[] {DType.F16, DType.BF16, DType.F32}) {
            weights.add(operands.dense(type, 37, 333));
        }
        for (GgufType type : GgufType.values()) {
            if (type.isRead() && !type.isPlain()) {
                weights.add(operands.blocks(type, 24, type.blockElements() == 32 ? 416 : 768, 8));
            }
        }
        for (int group : new int[] {32, 64, 128, -1}) {
            int in = group == 128 ? 384 : group == -1 ? 160 : 192;
            weights.add(operands.awq(1160, in, group));
            weights.add(operands.stored(296, in, group, true));
            weights.add(operands.stored(304, in, group, true));
            weights.add(operands.stored(296, in, group, false));
            weights.add(operands.stored(296, in, group, true, 8));
            weights.add(operands.stored(304, in, group, true, 8));
            weights.add(operands.stored(296, in, group, false, 8));
        }
        // More outputs than a tile of words has.
        weights.add(operands.awq(4232, 64, 32));
        // 37 groups are summed in 13 parts, of which the last has one group.
        weights.add(operands.awq(1160, 37 * 32, 32));
        weights.add(operands.stored(304, 37 * 32, 32, false));
        weights.add(operands.stored(1064, 37 * 32, 32, false, 8));
        return weights;
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void each_of_many_rows_has_the_bits_that_it_has_alone(Kernels kernels) {
        try (VectorBackend backend = new VectorBackend(2, kernels)) {
            for (Weight weight : weights()) {
                boolean plainWithoutTiles = weight instanceof DenseWeight && !kernels.hasTiles();
                int most = plainWithoutTiles ? FewRows.MOST_PLAIN_ROWS : FewRows.MOST_COMPILED_ROWS;
                int n = weight.outFeatures();
                float[] x = new Operands(31).values(most * weight.inFeatures());
                float[] alone = new float[most * n];
                for (int row = 0; row < most; row++) {
                    System.arraycopy(products(backend, weight, x, row, 1), 0, alone, row * n, n);
                }
                for (int rows = 2; rows <= most; rows++) {
                    assertThat(products(backend, weight, x, 0, rows))
                            .as("%s, %d rows, %s, %s", weight.name(), rows, kernels.name(), kernels.activations())
                            .isEqualTo(Arrays.copyOf(alone, rows * n));
                }
            }
        }
    }

    private static float[] products(Backend backend, Weight weight, float[] x, int row, int rows) {
        int k = weight.inFeatures();
        try (Matrix in = backend.upload(Arrays.copyOfRange(x, row * k, (row + rows) * k), rows, k);
                Matrix out = backend.allocate(rows, weight.outFeatures())) {
            backend.linear(weight, in, out);
            return backend.download(out);
        }
    }
}
