package nibble.calibrate;

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

/**
 * The calibration blocks on their way through the original model, a layer at a time. Every layer sees what the unquantized
 * layers before it give, so layers do not depend on how others were rounded. Owns the hidden states.
 */
final class CalibrationStream implements AutoCloseable {
    private final Backend backend;
    private final Forward forward;
    private final List<Matrix> hidden = new ArrayList<>();

    CalibrationStream(LlamaConfig config, DenseWeight embedding, int[][] blocks, Backend backend) {
        this.backend = backend;
        this.forward = new Forward(config, backend);
        for (int[] block : blocks) {
            hidden.add(forward.embed(embedding, block));
        }
    }

    /**
     * Moves all blocks through the next layer.
     *
     * @param onBlock told the number of blocks done
     */
    LayerStatistics advance(DecoderLayer layer, IntConsumer onBlock) {
        LayerStatistics statistics = new LayerStatistics(backend);
        try (PlacedLayer placed = backend.place(layer)) {
            for (int i = 0; i < hidden.size(); i++) {
                forward.layer(placed.layer(), hidden.get(i), 1, statistics);
                onBlock.accept(i + 1);
            }
        }
        return statistics;
    }

    @Override
    public void close() {
        forward.close();
        hidden.forEach(Matrix::close);
    }
}
