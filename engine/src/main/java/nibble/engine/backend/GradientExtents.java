package nibble.engine.backend;

import java.util.List;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/** Checks the operands of {@link GradientOperations} as every backend does. */
public final class GradientExtents {
    private GradientExtents() {}

    /** Checks that there is a scale for each group. */
    public static void scales(String operation, PlacedCodes codes, Parameter scales) {
        int expected = codes.outFeatures() * codes.groups();
        if (scales.size() != expected) {
            throw new IllegalArgumentException(
                    operation + ": " + scales.size() + " scales given, " + expected + " expected");
        }
    }

    public static void linears(List<Weight> weights, List<Matrix> dys, Matrix dx) {
        for (int i = 0; i < weights.size(); i++) {
            Weight weight = weights.get(i);
            Extents.require("gradient of linear", "dy", dys.get(i), dx.rows(), weight.outFeatures());
            Extents.require("gradient of linear", "dx", dx, dx.rows(), weight.inFeatures());
        }
    }

    public static void scales(PlacedCodes codes, Matrix dy, Matrix x, Parameter scales, @Nullable Parameter positions) {
        Extents.require("gradient of scales", "dy", dy, x.rows(), codes.outFeatures());
        Extents.require("gradient of scales", "x", x, x.rows(), codes.inFeatures());
        scales("gradient of scales", codes, scales);
        if (positions != null && positions.size() != codes.outFeatures() * codes.inFeatures()) {
            throw new IllegalArgumentException("gradient of scales: " + positions.size() + " positions given, "
                    + codes.outFeatures() * codes.inFeatures() + " expected");
        }
    }

    public static void norm(Matrix x, Parameter gain, Matrix dy, Matrix dx) {
        Extents.require("gradient of rmsNorm", "x", x, x.rows(), gain.size());
        Extents.require("gradient of rmsNorm", "dy", dy, x.rows(), gain.size());
        Extents.require("gradient of rmsNorm", "dx", dx, x.rows(), gain.size());
    }

    public static void heads(Matrix x, Parameter gain, Matrix gradient) {
        Extents.rmsNormHeads(x, gain.size());
        Extents.require("gradient of rmsNormHeads", "gradient", gradient, x.rows(), x.columns());
    }

    public static void glu(Matrix gate, Matrix up, Matrix dOut, Matrix dGate, Matrix dUp) {
        Extents.glu(gate, up, dOut);
        Extents.glu(gate, dGate, dUp);
    }

    public static void divergence(Weight head, Matrix original, Matrix x, @Nullable Matrix dx) {
        Extents.require("divergence", "x", x, x.rows(), head.inFeatures());
        Extents.require("divergence", "original", original, x.rows(), x.columns());
        if (dx != null) {
            Extents.require("divergence", "dx", dx, x.rows(), x.columns());
        }
    }
}
