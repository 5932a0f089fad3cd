import { expect } from 'chai';
import type { Page, WebSocketRoute } from 'playwright-core';
import { enterGranted, isLive, openSection, useBrowser } from './browser.ts';

interface ChatValve {
  shut: () => Promise<void>;
  open: () => void;
}

/** Keeps the chat's connection out, and no other: it is the one that opens the namespace `/`. */
async function interceptChat(page: Page): Promise<ChatValve> {
  const chats = new Set<WebSocketRoute>();
  let isShut = false;
  await page.routeWebSocket(/\/socket\.io\//, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const isChat = typeof message === 'string' && message.startsWith('40{');
      if (isChat && isShut) void socket.close();
      else server.send(message);
      if (isChat) chats.add(socket);
    });
  });
  return {
    async shut() {
      isShut = true;
      for (const chat of chats) await chat.close();
    },
    open() {
      isShut = false;
    },
  };
}

const NOT_LIVE = /^Connection: (Offline|Connecting)$/;

describe('web: the status shown', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  it('is that of what one looks at: the chat can be away while the records are live', async () => {
    const visitor = await visit();
    const { page } = visitor;
    const chat = await interceptChat(page);
    await enterGranted(visitor, 'dafina');
    await openSection(page, 'Chat');
    await isLive(page);
    await chat.shut();
    await page.getByLabel(NOT_LIVE).waitFor();
    await page.getByText('Chat and people are not connected').waitFor();
    await page.getByLabel(/^Connection:/).click();
    const facts = (await page.locator('.facts').innerText()).replace(/\s+/g, ' ');
    expect(facts).to.match(/Records every change arrives as it happens/i);
    expect(facts).to.match(/Chat and people (not connected|connecting)/i);
    await openSection(page, 'Invoices');
    await isLive(page);
    expect(await page.getByText('Chat and people are not connected').count()).to.equal(0);
    await openSection(page, 'People');
    await page.getByLabel(NOT_LIVE).waitFor();
    chat.open();
    await isLive(page);
  });
});
