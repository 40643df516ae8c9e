package nibble.engine.forward;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.Backend;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/** Holds the activations inside a layer, [rows, features]. */
final class LayerScratch {
    final Matrix normed;
    final Matrix query;
    final Matrix key;
    /** What the linears give, which may have to be put in another order. */
    final Matrix madeQuery;

    final Matrix madeKey;
    final Matrix value;
    final Matrix attended;
    final Matrix gate;
    final Matrix up;
    final @Nullable LatentPass latent;
    /** What goes into o. */
    Matrix intoO;

    private final Backend backend;
    private final List<Matrix> all = new ArrayList<>();

    /** @param reorders whether queries and keys are put in another order than their linears give */
    LayerScratch(
            ModelConfig config,
            AttentionShape heads,
            LatentPass.@Nullable Columns columns,
            boolean reorders,
            Backend backend,
            int rows) {
        this.backend = backend;
        try {
            normed = allocate(rows, config.hiddenSize());
            query = allocate(rows, heads.queryColumns());
            key = allocate(rows, heads.keyColumns());
            madeQuery = !reorders ? query : allocate(rows, heads.queryColumns());
            madeKey = !reorders ? key : allocate(rows, heads.keyColumns());
            value = allocate(rows, heads.keyColumns());
            attended = allocate(rows, heads.queryColumns());
            gate = allocate(rows, config.mlpColumns());
            up = allocate(rows, config.mlpColumns());
            latent = columns == null ? null : new LatentPass(config, columns, backend, rows);
            intoO = attended;
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private Matrix allocate(int rows, int columns) {
        Matrix matrix = backend.allocate(rows, columns);
        all.add(matrix);
        return matrix;
    }

    LatentPass latent() {
        return Objects.requireNonNull(latent, "a model without narrow vectors");
    }

    void close() {
        if (latent != null) {
            latent.close();
        }
        all.forEach(Matrix::close);
    }
}
