package nibble.calibrate.search;

import java.util.Arrays;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LatentAttention;

/**
 * Which channels of o_proj's input come from the same channel of values. With grouped-query attention each kv head is
 * read by several query heads, so a scale divided out of a row of v_proj must be multiplied into that many columns of
 * o_proj: then attention, which only mixes a channel with itself over tokens, gives exactly the same output.
 *
 * @param headDim channels of a head's value
 * @param before rows of a kv head in front of those of its value, where one linear gives keys and values
 */
record HeadTie(int heads, int kvHeads, int headDim, int before) {
    static HeadTie of(ModelConfig config) {
        return new HeadTie(
                config.heads(),
                config.kvHeads(),
                config.valueDim(),
                config.latent().map(LatentAttention::plain).orElse(0));
    }

    /** Channels of the values of all kv heads. */
    int channels() {
        return kvHeads * headDim;
    }

    /** The channel of values behind a channel of o_proj's input. */
    private int source(int channel) {
        int repeats = heads / kvHeads;
        return channel / headDim / repeats * headDim + channel % headDim;
    }

    /** Mean over the query heads of a kv head. [heads · headDim] → [kvHeads · headDim] */
    double[] mean(double[] query) {
        double[] mean = new double[channels()];
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

    /** Divisors of all rows of the linear that gives values, 1 for those of keys. [kvHeads · headDim] → [rows] */
    float[] rows(float[] kv) {
        float[] rows = new float[kvHeads * (before + headDim)];
        Arrays.fill(rows, 1f);
        for (int head = 0; head < kvHeads; head++) {
            System.arraycopy(kv, head * headDim, rows, head * (before + headDim) + before, headDim);
        }
        return rows;
    }
}
