package nibble.eval.tasks;

import nibble.datasets.Tokenizer;

/** An id for each UTF-16 unit, its code; BOS is 1. */
class CharacterTokenizer implements Tokenizer {
    @Override
    public int[] encode(String text, boolean bos) {
        return ((bos ? "\u0001" : "") + text).chars().toArray();
    }

    @Override
    public String decode(int[] ids) {
        StringBuilder text = new StringBuilder();
        for (int id : ids) {
            text.append((char) id);
        }
        return text.toString();
    }

    @Override
    public int vocabularySize() {
        return 1 << 16;
    }

    @Override
    public void close() {}
}
