package nibble.convert.gguf;

import nibble.checkpoint.model.layer.LatentAttention;

/**
 * Reads what keys of each head are made by in kv_b_proj, turned over: row {@code head * rank + c} is column c of the
 * rows of that head's key. Keeps the head that it read last; used by one thread.
 */
final class TurnedHeads implements StoredRows {
    private final StoredRows rows;
    private final LatentAttention extents;
    private final float[][] head;
    private long kept = -1;

    TurnedHeads(StoredRows rows, LatentAttention extents) {
        this.rows = rows;
        this.extents = extents;
        this.head = new float[extents.plain()][extents.rank()];
    }

    @Override
    public void read(long row, float[] into) {
        long wanted = row / extents.rank();
        if (wanted != kept) {
            for (int i = 0; i < head.length; i++) {
                rows.read(wanted * (extents.plain() + extents.value()) + i, head[i]);
            }
            kept = wanted;
        }
        int column = (int) (row % extents.rank());
        for (int i = 0; i < head.length; i++) {
            into[i] = head[i][column];
        }
    }
}
