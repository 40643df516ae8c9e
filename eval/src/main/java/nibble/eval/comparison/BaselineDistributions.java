package nibble.eval.comparison;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.function.Function;
import java.util.stream.IntStream;
import nibble.datasets.BadDatasetException;
import nibble.datasets.TextDataset;
import nibble.datasets.Tokenizer;
import nibble.files.Reasons;

/**
 * Keeps a baseline's next-token log-probabilities over the first windows of a text in a temporary file, so that two
 * models need not be in memory at once: {@code windows * (context - 1) * vocabulary * 4} bytes.
 *
 * <p>Both models must have the baseline's tokenizer: one compares distributions over the same tokens.
 */
public final class BaselineDistributions implements AutoCloseable {
    private final TextDataset text;
    private final int[] ids;
    private final int context;
    private final int windows;
    private final int vocabulary;
    private final Path file;
    private final Arena arena;
    private final MemorySegment logProbabilities;

    private BaselineDistributions(TextDataset text, int[] ids, int context, int windows, int vocabulary, Path folder) {
        this.text = text;
        this.ids = ids;
        this.context = context;
        this.windows = windows;
        this.vocabulary = vocabulary;
        long bytes = (long) windows * (context - 1) * vocabulary * Float.BYTES;
        this.arena = Arena.ofShared();
        try {
            this.file = Files.createTempFile(folder, "nibble-baseline-", ".f32");
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                this.logProbabilities = channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
            }
        } catch (IOException e) {
            arena.close();
            throw new UncheckedIOException(
                    folder + ": cannot hold the baseline's distributions, " + bytes + " bytes: " + Reasons.of(e)
                            + "; measure fewer windows",
                    e);
        }
    }

    /**
     * Runs the baseline.
     *
     * @param logits a model's logits after every id, [ids, vocabulary]
     * @param folder where the temporary file may lie
     * @param done told the share of windows done
     * @throws BadDatasetException if the text is shorter than one window
     */
    public static BaselineDistributions of(
            Function<int[], float[]> logits,
            Tokenizer tokenizer,
            TextDataset text,
            int context,
            int windows,
            Path folder,
            java.util.function.DoubleConsumer done) {
        int[] ids = tokenizer.encode(text.text(), true);
        int available = ids.length / context;
        if (available == 0) {
            throw new BadDatasetException(text.name() + ": " + ids.length + " tokens, one window needs " + context);
        }
        int count = Math.min(windows, available);
        float[] first = logits.apply(window(ids, context, 0));
        BaselineDistributions kept =
                new BaselineDistributions(text, ids, context, count, first.length / context, folder);
        try {
            for (int w = 0; w < count; w++) {
                kept.keep(w, w == 0 ? first : logits.apply(window(ids, context, w)));
                done.accept((double) (w + 1) / count);
            }
            return kept;
        } catch (RuntimeException | Error e) {
            kept.close();
            throw e;
        }
    }

    private static int[] window(int[] ids, int context, int w) {
        return Arrays.copyOfRange(ids, w * context, (w + 1) * context);
    }

    private void keep(int window, float[] logits) {
        IntStream.range(0, context - 1).parallel().forEach(t -> {
            double[] row = logSoftmax(logits, t);
            long at = row(window, t);
            for (int v = 0; v < vocabulary; v++) {
                logProbabilities.setAtIndex(ValueLayout.JAVA_FLOAT, at + v, (float) row[v]);
            }
        });
    }

    private long row(int window, int t) {
        return ((long) window * (context - 1) + t) * vocabulary;
    }

    private double[] logSoftmax(float[] logits, int t) {
        int begin = t * vocabulary;
        double max = Double.NEGATIVE_INFINITY;
        for (int v = 0; v < vocabulary; v++) {
            max = Math.max(max, logits[begin + v]);
        }
        double sum = 0;
        for (int v = 0; v < vocabulary; v++) {
            sum += Math.exp(logits[begin + v] - max);
        }
        double[] row = new double[vocabulary];
        double log = max + Math.log(sum);
        for (int v = 0; v < vocabulary; v++) {
            row[v] = logits[begin + v] - log;
        }
        return row;
    }

    /** What one prediction adds. */
    private record Prediction(double kl, boolean sameLikeliest, double baselineLoss, double loss) {}

    /**
     * Runs another model over the same ids.
     *
     * @param tokenizer the other model's, which must give the same ids
     * @throws BadDatasetException if it does not, or the vocabularies differ
     */
    public Divergence of(Function<int[], float[]> logits, Tokenizer tokenizer, java.util.function.DoubleConsumer done) {
        if (!Arrays.equals(ids, tokenizer.encode(text.text(), true))) {
            throw new BadDatasetException("the models' tokenizers give " + text.name()
                    + " different ids, so there are no distributions to compare; leave the divergence out with"
                    + " --divergence-windows 0");
        }
        double[] kl = new double[windows * (context - 1)];
        double[] windowMeans = new double[windows];
        double[] losses = new double[2];
        long same = 0;
        for (int w = 0; w < windows; w++) {
            Prediction[] predictions = predictions(w, logits.apply(window(ids, context, w)));
            double sum = 0;
            for (int t = 0; t < predictions.length; t++) {
                kl[w * (context - 1) + t] = predictions[t].kl();
                sum += predictions[t].kl();
                same += predictions[t].sameLikeliest() ? 1 : 0;
                losses[0] += predictions[t].baselineLoss();
                losses[1] += predictions[t].loss();
            }
            windowMeans[w] = sum / (context - 1);
            done.accept((double) (w + 1) / windows);
        }
        double mean = Arrays.stream(windowMeans).average().orElseThrow();
        double squares =
                Arrays.stream(windowMeans).map(m -> (m - mean) * (m - mean)).sum();
        Arrays.sort(kl);
        return new Divergence(
                text.name(),
                text.sha256(),
                context,
                windows,
                kl.length,
                mean,
                windows < 2 ? null : (Double) Math.sqrt(squares / (windows - 1) / windows),
                kl[(int) Math.ceil(0.99 * kl.length) - 1],
                (double) same / kl.length,
                Math.exp(losses[0] / kl.length),
                Math.exp(losses[1] / kl.length));
    }

    private Prediction[] predictions(int window, float[] logits) {
        if (logits.length != context * vocabulary) {
            throw new BadDatasetException(
                    "the models' vocabularies differ: the baseline has " + vocabulary + " tokens, the model "
                            + logits.length / context + "; leave the divergence out with --divergence-windows 0");
        }
        return IntStream.range(0, context - 1)
                .parallel()
                .mapToObj(t -> prediction(row(window, t), logSoftmax(logits, t), ids[window * context + t + 1]))
                .toArray(Prediction[]::new);
    }

    private Prediction prediction(long at, double[] model, int next) {
        double kl = 0;
        int likeliest = 0;
        int baselineLikeliest = 0;
        for (int v = 0; v < vocabulary; v++) {
            double log = logProbabilities.getAtIndex(ValueLayout.JAVA_FLOAT, at + v);
            kl += Math.exp(log) * (log - model[v]);
            likeliest = model[v] > model[likeliest] ? v : likeliest;
            baselineLikeliest = log > logProbabilities.getAtIndex(ValueLayout.JAVA_FLOAT, at + baselineLikeliest)
                    ? v
                    : baselineLikeliest;
        }
        return new Prediction(
                kl,
                likeliest == baselineLikeliest,
                -logProbabilities.getAtIndex(ValueLayout.JAVA_FLOAT, at + next),
                -model[next]);
    }

    /** Removes the file. */
    @Override
    public void close() {
        arena.close();
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be removed: " + Reasons.of(e), e);
        }
    }
}
