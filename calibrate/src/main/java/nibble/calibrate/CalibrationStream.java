package nibble.calibrate;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import nibble.convert.LlamaConfig;
import nibble.engine.Backend;
import nibble.engine.DecoderLayer;
import nibble.engine.DenseWeight;
import nibble.engine.Forward;
import nibble.engine.Matrix;
import nibble.engine.PlacedLayer;
import nibble.engine.Taps;

/**
 * The calibration blocks on their way through the original model, a layer at a time. Every layer sees what the unquantized
 * layers before it give, so layers do not depend on how others were rounded. Owns the hidden states.
 */
final class CalibrationStream implements AutoCloseable {
    private final Backend backend;
    private final Forward forward;
    private final List<Matrix> hidden;

    /** The embeddings of the blocks: what goes into layer 0. */
    CalibrationStream(LlamaConfig config, DenseWeight embedding, int[][] blocks, Backend backend) {
        this.backend = backend;
        this.forward = new Forward(config, backend);
        this.hidden = new ArrayList<>();
        for (int[] block : blocks) {
            hidden.add(forward.embed(embedding, block));
        }
    }

    /** What goes into some later layer. */
    CalibrationStream(LlamaConfig config, List<Matrix> hidden, Backend backend) {
        this.backend = backend;
        this.forward = new Forward(config, backend);
        this.hidden = hidden;
    }

    /** Bytes that {@link #save} writes. */
    long bytes() {
        return hidden.stream()
                .mapToLong(matrix -> (long) Float.BYTES * matrix.rows() * matrix.columns())
                .sum();
    }

    /**
     * Writes the stream down, durably.
     *
     * @return SHA-256 of the file
     */
    String save(Path file) {
        return StreamFile.write(file, hidden, backend);
    }

    /**
     * Moves all blocks through the next layer.
     *
     * @param taps sees the inputs of the layer's linears, block after block
     * @param onBlock told the number of blocks done
     */
    void advance(DecoderLayer layer, Taps taps, IntConsumer onBlock) {
        try (PlacedLayer placed = backend.place(layer)) {
            for (int i = 0; i < hidden.size(); i++) {
                forward.layer(placed.layer(), hidden.get(i), 1, taps);
                onBlock.accept(i + 1);
            }
        }
    }

    /** The same for a layer that is quantized already: nobody looks. */
    void pass(DecoderLayer layer, IntConsumer onBlock) {
        advance(layer, Taps.NONE, onBlock);
    }

    @Override
    public void close() {
        forward.close();
        hidden.forEach(Matrix::close);
    }
}
