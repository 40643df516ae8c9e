package nibble.eval;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import nibble.datasets.BadDatasetException;
import nibble.datasets.TextDataset;
import nibble.datasets.Tokenizer;
import nibble.engine.ScoringModel;
import nibble.engine.backend.MissingRowException;

/**
 * Measures perplexity by a named recipe.
 *
 * <p>{@code gptq}, the figure that papers on quantization quote: the text is encoded once with one leading BOS, cut
 * into windows of {@code context} ids without overlap, the tail is dropped; each window's mean cross entropy over its
 * {@code context - 1} predictions; exp of the mean over windows. Source: the evaluation code of the GPTQ paper
 * (Frantar et al., 2022).
 */
public final class Perplexity {
    /** Name of the recipe, as results carry it. */
    public static final String GPTQ = "gptq";

    private Perplexity() {}

    /**
     * Measures the perplexity of a text by the {@code gptq} recipe.
     *
     * @param context ids in a window, at least 2, at most what the model was made for
     * @param maxWindows measures only the first of them
     * @throws BadDatasetException if the text has fewer ids than one window
     * @throws MissingRowException if it has ids the model does not have
     * @throws IllegalArgumentException if {@code context} or {@code maxWindows} is out of range
     * @throws NonFiniteLogProbabilityException if the model gives NaN or infinity
     */
    public static PerplexityResult gptq(
            ScoringModel model,
            Tokenizer tokenizer,
            TextDataset text,
            int context,
            OptionalInt maxWindows,
            PerplexityProgress progress) {
        checkContext(model, context);
        boolean bos = tokenizer.encode("", true).length > 0;
        int[] ids = tokenizer.encode(text.text(), true);
        return gptq(model, ids, context, maxWindows, progress).of(text, bos);
    }

    /**
     * Measures the perplexity of ids, BOS included by the caller, by the {@code gptq} recipe; the result names no
     * dataset.
     *
     * @param ids of the whole text
     * @param context ids in a window, at least 2, at most what the model was made for
     * @param maxWindows measures only the first of them
     * @throws BadDatasetException if there are fewer ids than one window
     * @throws MissingRowException if there are ids the model does not have
     * @throws IllegalArgumentException if {@code context} or {@code maxWindows} is out of range
     * @throws NonFiniteLogProbabilityException if the model gives NaN or infinity
     */
    public static PerplexityResult gptq(
            ScoringModel model, int[] ids, int context, OptionalInt maxWindows, PerplexityProgress progress) {
        checkContext(model, context);
        if (maxWindows.isPresent() && maxWindows.getAsInt() < 1) {
            throw new IllegalArgumentException("number of windows must be positive, found " + maxWindows.getAsInt());
        }
        int available = ids.length / context;
        if (available == 0) {
            throw new BadDatasetException(
                    "the text has %d tokens, one window needs %d; give a longer text or a smaller --context"
                            .formatted(ids.length, context));
        }
        int windows = Math.min(available, maxWindows.orElse(available));
        MissingRowException.check(ids, windows * context, model.vocabularySize());

        long start = System.nanoTime();
        double sum = 0;
        int batch = model.sequencesPerBatch(context);
        for (int first = 0; first < windows; first += batch) {
            List<int[]> sequences = new ArrayList<>();
            for (int window = first; window < Math.min(first + batch, windows); window++) {
                sequences.add(Arrays.copyOfRange(ids, window * context, (window + 1) * context));
            }
            int window = first;
            for (float[] logProbabilities : model.logProbabilities(sequences)) {
                sum += meanCrossEntropy(logProbabilities, window, window * context, context);
                window++;
                progress.windowDone(window, windows, Math.exp(sum / window));
            }
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        return new PerplexityResult(
                Math.exp(sum / windows),
                GPTQ,
                context,
                windows,
                available,
                (long) windows * (context - 1),
                ids.length,
                null,
                null,
                null,
                null,
                seconds);
    }

    private static double meanCrossEntropy(float[] logProbabilities, int window, int begin, int context) {
        if (logProbabilities.length != context - 1) {
            throw new IllegalStateException("window %d: the model gave %d log-probabilities for %d ids, expected %d"
                    .formatted(window, logProbabilities.length, context, context - 1));
        }
        double sum = 0;
        for (int i = 0; i < logProbabilities.length; i++) {
            float value = logProbabilities[i];
            if (!Float.isFinite(value)) {
                throw new NonFiniteLogProbabilityException(
                        ("window %d (counted from 0), prediction %d, token %d of the text: log-probability is %s;"
                                        + " the weights or the arithmetic of the model are broken")
                                .formatted(window, i, begin + i + 1, value));
            }
            sum -= value;
        }
        return sum / logProbabilities.length;
    }

    private static void checkContext(ScoringModel model, int context) {
        if (context < 2) {
            throw new IllegalArgumentException("context must be at least 2 tokens, found " + context);
        }
        if (context > model.contextTokens()) {
            throw new IllegalArgumentException(
                    "context of %d tokens asked, the model was made for %d; give --context %d or less"
                            .formatted(context, model.contextTokens(), model.contextTokens()));
        }
    }
}
