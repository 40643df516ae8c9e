package nibble.engine.cuda;

import java.util.Map;
import nibble.engine.backend.Extents;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.Cublas;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.tensor.Matrix;

/** Sums over tokens as whole fp32 matrices, and products with them, by cuBLAS. */
final class WholeMoments {
    private static final int MIRROR_THREADS = 256;

    private final CudaResources card;

    WholeMoments(CudaResources card) {
        this.card = card;
    }

    void multiplyTransposed(Matrix a, Matrix b, Matrix out) {
        Extents.require("multiplyTransposed", "b", b, b.rows(), a.columns());
        Extents.require("multiplyTransposed", "out", out, a.rows(), b.rows());
        card.cublas()
                .multiplyTransposed(
                        a.rows(),
                        b.rows(),
                        a.columns(),
                        CudaMatrix.of(card, a, true).address(),
                        Cublas.Type.F32,
                        a.columns(),
                        CudaMatrix.of(card, b, true).address(),
                        b.columns(),
                        CudaMatrix.of(card, out, true).address(),
                        Cublas.Type.F32,
                        out.columns(),
                        false);
    }

    void addSecondMoment(Matrix x, Matrix moment) {
        int n = x.columns();
        Extents.require("addSecondMoment", "moment", moment, n, n);
        CudaMatrix in = CudaMatrix.of(card, x, false);
        CudaMatrix sums = CudaMatrix.of(card, moment, true);
        // The triangle from the diagonal on; the rest is its mirror image.
        card.cublas().addSecondMoment(in.rows(), n, in.address(), sums.address(), true);
        int tiles = (n + 31) / 32;
        card.kernels()
                .kernel("elementwise.cu", "mirror", Map.of())
                .launch(card.stream(), new Kernel.Grid(tiles, tiles, 1), MIRROR_THREADS, 0, sums.address(), n);
    }

    void addCrossMoment(Matrix y, Matrix x, Matrix moment) {
        Extents.require("addCrossMoment", "y", y, x.rows(), y.columns());
        Extents.require("addCrossMoment", "moment", moment, y.columns(), x.columns());
        card.cublas()
                .crossMoment(
                        y.columns(),
                        x.columns(),
                        x.rows(),
                        CudaMatrix.of(card, y, false).address(),
                        CudaMatrix.of(card, x, false).address(),
                        CudaMatrix.of(card, moment, true).address(),
                        true);
    }
}
