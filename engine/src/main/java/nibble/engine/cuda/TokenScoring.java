package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import nibble.engine.backend.Extents;
import nibble.engine.backend.TokenScores;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.Cublas;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;

/** Scores text: logits a piece at a time, of which one number a token is kept. */
final class TokenScoring {
    private static final int THREADS = 256;
    /** Logits at a time. */
    static final long LOGIT_BYTES = 256L << 20;

    private final CudaResources card;
    private final CudaMatrices matrices;
    private final WeightUpload upload;

    TokenScoring(CudaResources card, CudaMatrices matrices, WeightUpload upload) {
        this.card = card;
        this.matrices = matrices;
        this.upload = upload;
    }

    TokenScores score(Weight head, Matrix x, int[] next) {
        Extents.logProbabilities(head, x, next);
        CudaMatrix rows = CudaMatrix.of(card, x, false);
        int vocabulary = head.outFeatures();
        int chunk = (int) Math.clamp(LOGIT_BYTES / (4L * vocabulary), 1, Math.max(1, rows.rows()));
        try (WeightInUse<CudaWeight.Dense> weight = WeightInUse.dense(head, card, upload);
                DeviceMemory.Buffer ids = card.memory().allocate(4L * next.length, "token ids");
                CudaMatrix result = matrices.allocate(next.length, 1, true);
                // Ids up to 2^24 are exact in fp32, and no vocabulary is larger.
                CudaMatrix likeliest = matrices.allocate(next.length, 1, true);
                DeviceMemory.Buffer logits =
                        card.memory().allocate(4L * chunk * vocabulary, "logits of " + chunk + " tokens")) {
            card.transfers().bring(MemorySegment.ofArray(next), ids);
            for (int first = 0; first < next.length; first += chunk) {
                int count = Math.min(chunk, next.length - first);
                card.cublas()
                        .multiplyTransposed(
                                count,
                                vocabulary,
                                rows.columns(),
                                rows.address(first),
                                Cublas.Type.F16,
                                rows.columns(),
                                weight.weight().address(),
                                rows.columns(),
                                logits.address(),
                                Cublas.Type.F32,
                                vocabulary,
                                false);
                card.kernels()
                        .kernel("log_probabilities.cu", "log_probabilities", Map.of())
                        .launch(
                                card.stream(),
                                Kernel.Grid.of(count),
                                THREADS,
                                0,
                                logits.address(),
                                vocabulary,
                                ids.address() + 4L * first,
                                result.address(first),
                                likeliest.address(first));
            }
            return new TokenScores(
                    matrices.download(result, 0, next.length), integers(matrices.download(likeliest, 0, next.length)));
        }
    }

    private static int[] integers(float[] values) {
        int[] integers = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            integers[i] = (int) values[i];
        }
        return integers;
    }
}
