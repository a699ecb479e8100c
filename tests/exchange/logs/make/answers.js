// A provider without a model: right on the first `right` mails, an error on the mails in `broken`.
const labels = ['billing', 'shipping', 'returns'];
module.exports = class {
  constructor(options) { this.config = options.config || {}; this.label = options.label; }
  id() { return `answers:${this.config.name}`; }
  async callApi(prompt, context) {
    const n = Number(context.vars.number);
    if ((this.config.broken || []).includes(n)) return { error: 'API error: 503 Service Unavailable' };
    return { output: n < this.config.right ? labels[n % 3] : 'none of them', tokenUsage: { total: 12, prompt: 10, completion: 2 } };
  }
};
