package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Map;
import nibble.engine.backend.Extents;
import nibble.engine.backend.TokenScores;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.tensor.LogitRule;
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
    private final Linears linears;
    private final ElementwiseKernels elementwise;

    TokenScoring(
            CudaResources card,
            CudaMatrices matrices,
            WeightUpload upload,
            Linears linears,
            ElementwiseKernels elementwise) {
        this.card = card;
        this.matrices = matrices;
        this.upload = upload;
        this.linears = linears;
        this.elementwise = elementwise;
    }

    TokenScores score(Weight head, LogitRule rule, Matrix x, int[] next) {
        Extents.logProbabilities(head, rule, x, next);
        CudaMatrix rows = CudaMatrix.of(card, x, false);
        int vocabulary = head.outFeatures();
        int chunk = (int) Math.clamp(LOGIT_BYTES / (4L * vocabulary), 1, Math.max(1, rows.rows()));
        try (WeightInUse<? extends CudaWeight> weight = WeightInUse.any(head, card, upload);
                DeviceMemory.Buffer ids = card.memory().allocate(4L * next.length, "token ids");
                CudaMatrix result = matrices.allocate(next.length, 1, true);
                // Ids up to 2^24 are exact in fp32, and no vocabulary is larger.
                CudaMatrix likeliest = matrices.allocate(next.length, 1, true)) {
            card.transfers().bring(MemorySegment.ofArray(next), ids);
            for (int first = 0; first < next.length; first += chunk) {
                int count = Math.min(chunk, next.length - first);
                try (CudaMatrix piece = matrices.allocate(count, rows.columns(), false);
                        CudaMatrix logits = matrices.allocate(count, vocabulary, true)) {
                    matrices.copyRows(rows, first, count, piece, 0);
                    linears.multiply(weight.weight(), piece, logits, false);
                    if (rule.hasBias()) {
                        elementwise.addBias(rule.bias(), logits);
                    }
                    if (rule.cap() != 0) {
                        elementwise.cap(logits, rule.cap());
                    }
                    score(logits, ids.address() + 4L * first, result.address(first), likeliest.address(first));
                }
            }
            return new TokenScores(
                    matrices.download(result, 0, next.length), integers(matrices.download(likeliest, 0, next.length)));
        }
    }

    private void score(CudaMatrix logits, long ids, long result, long likeliest) {
        card.kernels()
                .kernel("log_probabilities.cu", "log_probabilities", Map.of())
                .launch(
                        card.stream(),
                        Kernel.Grid.of(logits.rows()),
                        THREADS,
                        0,
                        logits.address(),
                        logits.columns(),
                        ids,
                        result,
                        likeliest);
    }

    private static int[] integers(float[] values) {
        int[] integers = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            integers[i] = (int) values[i];
        }
        return integers;
    }
}
