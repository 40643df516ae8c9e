package nibble.engine.host;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.backend.Workers;
import nibble.engine.host.natives.Inputs;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.stored.FewRows;
import nibble.engine.host.stored.FewRows.Product;
import nibble.engine.tensor.Weight;
import org.jspecify.annotations.Nullable;

/**
 * Products of few rows with some weights, which share the rows, what is prepared of them, and a call of the threads.
 * One thread multiplies at a time.
 */
final class RowProducts {
    private final Workers workers;
    private final List<float[]> outs;
    private final int rows;
    private final Product[] products;
    /** The first piece of each product, and the end of the last. */
    private final int[] first;

    /**
     * Prepares the rows for the weights.
     *
     * @param inputs of all weights; they keep what is prepared
     * @param outs [rows, outputs] of each weight
     */
    RowProducts(Workers workers, List<Weight> weights, @Nullable Kernels kernels, Inputs inputs, List<float[]> outs) {
        this.workers = workers;
        this.outs = outs;
        this.rows = inputs.rows();
        this.first = new int[weights.size() + 1];
        this.products = new Product[weights.size()];
        List<FewRows> found = new ArrayList<>(weights.size());
        for (Weight weight : weights) {
            found.add(FewRows.of(weight, workers.threads(), kernels));
        }
        for (int i = 0; i < products.length; i++) {
            first[i + 1] = first[i] + found.get(i).pieces(rows);
            products[i] = found.get(i).prepare(inputs, outs.get(i).length / rows);
        }
    }

    /** Makes the outputs of the rows as they are prepared. */
    void multiply() {
        workers.forEachRun(first[products.length], this::run);
        for (int i = 0; i < products.length; i++) {
            if (products[i].isInParts()) {
                finish(products[i], outs.get(i));
            }
        }
    }

    private void run(int from, int to) {
        for (int i = 0; i < products.length; i++) {
            int begin = Math.max(from, first[i]);
            int end = Math.min(to, first[i + 1]);
            if (begin < end) {
                products[i].run(begin - first[i], end - first[i], outs.get(i));
            }
        }
    }

    private void finish(Product product, float[] out) {
        int outputs = out.length / rows;
        workers.forEachRun(
                (outputs + FewRows.FINISHED - 1) / FewRows.FINISHED,
                (from, to) -> product.finish(from * FewRows.FINISHED, Math.min(outputs, to * FewRows.FINISHED), out));
    }
}
