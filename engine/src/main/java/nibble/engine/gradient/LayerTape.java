package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.Matrices;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/** What the backward pass of a layer needs of its forward pass, [rows, features]. Owns the matrices. */
final class LayerTape implements AutoCloseable {
    private final List<Matrix> all = new ArrayList<>();
    /** What went into the layer. */
    final Matrix input;

    final Matrix attentionInput;
    /** Query before its heads' norm; null where there is none. */
    final @Nullable Matrix rawQuery;

    final @Nullable Matrix rawKey;
    /** Rotated. */
    final Matrix query;

    final Matrix key;
    final Matrix value;
    final Matrix attended;
    /** What o gave before its norm; null where there is none. */
    final @Nullable Matrix attentionOutput;

    /** The residual stream between attention and MLP. */
    final Matrix middle;

    final Matrix mlpInput;
    final Matrix gate;
    final Matrix up;
    final Matrix activated;
    /** What down gave before its norm; null where there is none. */
    final @Nullable Matrix mlpOutput;

    LayerTape(Matrices backend, ModelConfig config, int rows) {
        AttentionShape heads = AttentionShape.of(config);
        boolean norms = config.architecture().headNorm() != HeadNorm.NONE;
        this.input = add(backend, rows, config.hiddenSize());
        this.attentionInput = add(backend, rows, config.hiddenSize());
        this.rawQuery = norms ? add(backend, rows, heads.queryColumns()) : null;
        this.rawKey = norms ? add(backend, rows, heads.keyColumns()) : null;
        this.query = add(backend, rows, heads.queryColumns());
        this.key = add(backend, rows, heads.keyColumns());
        this.value = add(backend, rows, heads.keyColumns());
        this.attended = add(backend, rows, heads.queryColumns());
        this.attentionOutput = behind(backend, config, LayerNorm.ATTENTION_OUT, rows);
        this.middle = add(backend, rows, config.hiddenSize());
        this.mlpInput = add(backend, rows, config.hiddenSize());
        this.gate = add(backend, rows, config.intermediateSize());
        this.up = add(backend, rows, config.intermediateSize());
        this.activated = add(backend, rows, config.intermediateSize());
        this.mlpOutput = behind(backend, config, LayerNorm.MLP_OUT, rows);
    }

    private @Nullable Matrix behind(Matrices backend, ModelConfig config, LayerNorm norm, int rows) {
        return config.norm(norm, 0).isPresent() ? add(backend, rows, config.hiddenSize()) : null;
    }

    /** Floats a row. */
    static long columns(ModelConfig config) {
        AttentionShape heads = AttentionShape.of(config);
        int normed = config.architecture().headNorm() != HeadNorm.NONE ? 2 : 1;
        int behind = (config.norm(LayerNorm.ATTENTION_OUT, 0).isPresent() ? 1 : 0)
                + (config.norm(LayerNorm.MLP_OUT, 0).isPresent() ? 1 : 0);
        return (4L + behind) * config.hiddenSize()
                + (1L + normed) * heads.queryColumns()
                + (1L + normed) * heads.keyColumns()
                + 3L * config.intermediateSize();
    }

    private Matrix add(Matrices backend, int rows, int columns) {
        Matrix matrix = backend.allocate(rows, columns);
        all.add(matrix);
        return matrix;
    }

    @Override
    public void close() {
        all.forEach(Matrix::close);
    }
}
