package nibble.engine.host;

import java.util.List;
import nibble.engine.backend.AttentionShape;
import nibble.engine.backend.Extents;
import nibble.engine.backend.GradientOperations;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/** What the backward operations of the host share: the weight of codes and scales, and checks of operands. */
abstract class HostGradients implements GradientOperations {
    @Override
    public Weight weight(QuantizedLinear codes, float[] scales) {
        require("weight", "scales", scales, codes.outFeatures() * codes.groups());
        float[] values = new float[Math.multiplyExact(codes.outFeatures(), codes.inFeatures())];
        forEachRow(codes.outFeatures(), row -> row(codes, scales, row, values));
        return DenseWeight.onHeap("tuned", values, codes.outFeatures(), codes.inFeatures());
    }

    /** A row's weights at their place in [out, in]. */
    private static void row(QuantizedLinear codes, float[] scales, int row, float[] into) {
        byte[] pairs = codes.codes();
        int at = row * codes.inFeatures();
        float[] table = new float[16];
        for (int group = 0; group < codes.groups(); group++) {
            int cell = row * codes.groups() + group;
            for (int code = 0; code < table.length; code++) {
                table[code] = (code - codes.zeros()[cell]) * scales[cell];
            }
            for (int i = 0; i < codes.groupSize(); i += 2, at += 2) {
                int pair = pairs[at >> 1];
                into[at] = table[pair & 15];
                into[at + 1] = table[pair >> 4 & 15];
            }
        }
    }

    /** Rows in any order. */
    void forEachRow(int rows, java.util.function.IntConsumer task) {
        for (int row = 0; row < rows; row++) {
            task.accept(row);
        }
    }

    private static void require(String operation, String operand, float[] values, int length) {
        if (values.length != length) {
            throw new IllegalArgumentException(
                    operation + ": " + operand + " has " + values.length + " values, " + length + " expected");
        }
    }

    static void requireLinears(List<Weight> weights, List<Matrix> dys, Matrix dx) {
        for (int i = 0; i < weights.size(); i++) {
            Weight weight = weights.get(i);
            Extents.require("gradient of linear", "dy", dys.get(i), dx.rows(), weight.outFeatures());
            Extents.require("gradient of linear", "dx", dx, dx.rows(), weight.inFeatures());
        }
    }

    static void requireScales(QuantizedLinear codes, Matrix dy, Matrix x, float[] into) {
        Extents.require("gradient of scales", "dy", dy, x.rows(), codes.outFeatures());
        Extents.require("gradient of scales", "x", x, x.rows(), codes.inFeatures());
        require("gradient of scales", "into", into, codes.outFeatures() * codes.groups());
    }

    static void requireNorm(Matrix x, float[] weight, Matrix dy, Matrix dx, float[] dWeight) {
        Extents.require("gradient of rmsNorm", "x", x, x.rows(), weight.length);
        Extents.require("gradient of rmsNorm", "dy", dy, x.rows(), weight.length);
        Extents.require("gradient of rmsNorm", "dx", dx, x.rows(), weight.length);
        require("gradient of rmsNorm", "dWeight", dWeight, weight.length);
    }

    static void requireHeads(Matrix x, float[] weight, Matrix gradient, float[] dWeight) {
        Extents.rmsNormHeads(x, weight);
        Extents.require("gradient of rmsNormHeads", "gradient", gradient, x.rows(), x.columns());
        require("gradient of rmsNormHeads", "dWeight", dWeight, weight.length);
    }

    static void requireAttention(
            AttentionShape shape,
            int sequences,
            Matrix query,
            Matrix keys,
            Matrix values,
            Matrix out,
            Matrix dOut,
            Matrix dQuery,
            Matrix dKeys,
            Matrix dValues) {
        Extents.attention(shape, sequences, query, 0, keys, values, out);
        Extents.attention(shape, sequences, dQuery, 0, dKeys, dValues, dOut);
        Extents.require("gradient of attention", "keys", keys, query.rows(), shape.keyColumns());
        Extents.require("gradient of attention", "dKeys", dKeys, query.rows(), shape.keyColumns());
        Extents.require("gradient of attention", "dQuery", dQuery, query.rows(), shape.queryColumns());
    }

    static void requireGlu(Matrix gate, Matrix up, Matrix dOut, Matrix dGate, Matrix dUp) {
        Extents.glu(gate, up, dOut);
        Extents.glu(gate, dGate, dUp);
    }

    static void requireDivergence(Weight head, Matrix original, Matrix x, @Nullable Matrix dx) {
        Extents.require("divergence", "x", x, x.rows(), head.inFeatures());
        Extents.require("divergence", "original", original, x.rows(), x.columns());
        if (dx != null) {
            Extents.require("divergence", "dx", dx, x.rows(), x.columns());
        }
    }
}
