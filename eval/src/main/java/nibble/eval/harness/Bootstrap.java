package nibble.eval.harness;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import nibble.datasets.PythonRandom;

/** Estimates a figure's standard error as the harness does: by figures of documents drawn again, with its seeds. */
final class Bootstrap {
    private static final int CHUNKS = 100;
    private static final int DRAWS = 1000;
    /** Figures drawn of many sentences. */
    private static final int FEW = 100;
    /** Figures drawn in all. */
    static final int DRAWN = CHUNKS * DRAWS;

    private Bootstrap() {}

    static double standardError(Aggregation figure, List<?> values) {
        boolean few = figure.isOfSentences();
        double[] figures = IntStream.range(0, few ? 1 : CHUNKS)
                .parallel()
                .mapToObj(seed -> chunk(figure, values, seed, few ? FEW : DRAWS))
                .flatMapToDouble(java.util.Arrays::stream)
                .toArray();
        return Aggregation.deviation(figures);
    }

    private static double[] chunk(Aggregation figure, List<?> values, int seed, int draws) {
        PythonRandom random = new PythonRandom(seed);
        int n = values.size();
        double[] figures = new double[draws];
        List<Object> drawn = new ArrayList<>(n);
        for (int draw = 0; draw < draws; draw++) {
            drawn.clear();
            for (int i = 0; i < n; i++) {
                drawn.add(values.get((int) (random.real() * n)));
            }
            figures[draw] = figure.of(drawn);
        }
        return figures;
    }
}
