package nibble.langchain4j;

import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import java.util.OptionalLong;

/** Answers LangChain4j's chat requests by a model in this process. */
public final class LocalChatModel implements ChatModel {
    private final LocalModel model;
    private final ChatRequestParameters defaults;
    private final OptionalLong seed;

    /**
     * Takes a model, which must stay open.
     *
     * @param defaults of requests that leave values open; temperature and top-p are 1 where these do too
     * @param seed of the draws; empty for another one each time
     */
    public LocalChatModel(LocalModel model, ChatRequestParameters defaults, OptionalLong seed) {
        this.model = model;
        this.defaults = defaults;
        this.seed = seed;
    }

    @Override
    public ChatRequestParameters defaultRequestParameters() {
        return defaults;
    }

    @Override
    public ChatResponse doChat(ChatRequest request) {
        return LocalText.begin(model, request, seed).write(_ -> {});
    }
}
