package nibble.engine.bench;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Holds what {@link EngineBenchmark} measured.
 *
 * @param device as the backend describes itself
 * @param weights {@code fp16}, or {@code awq} with the group size
 * @param layers layers in memory, all with weights of their own
 * @param readBytesPerSecond of a kernel that only reads device memory; null on the host
 * @param peakDeviceBytes most memory taken of the card; null on the host
 */
public record EngineTimings(
        String device,
        String weights,
        int layers,
        Prefill prefill,
        @Nullable Decode decode,
        List<Operation> operations,
        @Nullable Double readBytesPerSecond,
        @Nullable Long peakDeviceBytes) {

    /**
     * Times a batch of whole sequences through the decoder layers, without embedding and head.
     *
     * @param secondsPerLayer median over repetitions
     * @param linearFlopsPerSecond two operations for each weight of the linears and token
     * @param tokensPerSecond through as many layers as the shape has
     */
    public record Prefill(
            int sequences,
            int tokensPerSequence,
            double secondsPerLayer,
            double linearFlopsPerSecond,
            double tokensPerSecond) {}

    /**
     * Times one token after another, embedding, head and the way of the logits to the host included.
     *
     * @param context tokens in the cache before
     * @param secondsPerToken median over tokens
     * @param bytesPerToken weights read
     */
    public record Decode(int context, int tokens, double secondsPerToken, long bytesPerToken) {
        public double tokensPerSecond() {
            return 1 / secondsPerToken;
        }

        public double bytesPerSecond() {
            return bytesPerToken / secondsPerToken;
        }
    }

    /**
     * Times one operation by itself.
     *
     * @param rows tokens
     * @param flops of a call, 0 where bytes are the point
     * @param bytes of weights or activations that a call must move, 0 where arithmetic is the point
     */
    public record Operation(String name, int rows, double seconds, double flops, double bytes) {}
}
