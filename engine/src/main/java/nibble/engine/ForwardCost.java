package nibble.engine;

import nibble.checkpoint.model.ModelConfig;

/** Counts the arithmetic of a forward pass. */
public final class ForwardCost {
    private ForwardCost() {}

    /**
     * Returns the operations, two a multiply-add, of the linears, of attention to the keys that each row may see, and
     * of the head. Norms, rotation and activation are left out, as is usual: below 1 % from a hidden size of a few
     * thousand on.
     *
     * @param positions of the rows
     * @param predictions rows that go through the head
     */
    public static double flops(ModelConfig config, int[] positions, int predictions) {
        double hidden = config.hiddenSize();
        double query = (double) config.heads() * config.headDim();
        double keyValue = 2.0 * config.kvHeads() * config.headDim();
        double attention = hidden * (2 * query + keyValue);
        double seen = 0;
        for (int position : positions) {
            seen += position + 1;
        }
        double flops = 2 * hidden * config.vocabularySize() * predictions;
        for (int layer = 0; layer < config.layers(); layer++) {
            double weights = attention + 3 * hidden * config.activeWidth(layer);
            flops += 2 * weights * positions.length + 4 * query * seen;
        }
        return flops;
    }
}
