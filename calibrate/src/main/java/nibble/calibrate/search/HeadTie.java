package nibble.calibrate.search;

/**
 * Which channels of o_proj's input come from the same channel of v_proj. With grouped-query attention each kv head is
 * read by several query heads, so a scale divided out of a row of v_proj must be multiplied into that many columns of
 * o_proj: then attention, which only mixes a channel with itself over tokens, gives exactly the same output.
 */
record HeadTie(int heads, int kvHeads, int headDim) {
    /** The v_proj channel behind a channel of o_proj's input. */
    private int source(int channel) {
        int repeats = heads / kvHeads;
        return channel / headDim / repeats * headDim + channel % headDim;
    }

    /** Mean over the query heads of a kv head. [heads · headDim] → [kvHeads · headDim] */
    double[] mean(double[] query) {
        double[] mean = new double[kvHeads * headDim];
        for (int channel = 0; channel < query.length; channel++) {
            mean[source(channel)] += query[channel];
        }
        for (int channel = 0; channel < mean.length; channel++) {
            mean[channel] /= (double) heads / kvHeads;
        }
        return mean;
    }

    /** Repeats each kv head for its query heads. [kvHeads · headDim] → [heads · headDim] */
    float[] repeat(float[] kv) {
        float[] query = new float[heads * headDim];
        for (int channel = 0; channel < query.length; channel++) {
            query[channel] = kv[source(channel)];
        }
        return query;
    }
}
