"""Two clients of others read and write the base; what they saw is printed as JSON."""

import asyncio
import json
import sys
from urllib.parse import quote

import enterprise_1c_odata as enterprise
import python_1c_odata as onec
from python_1c_odata.errors import EntityNotFound, ODataError


def with_urllib(url):
    client = enterprise.ODataClient(url)
    products = client.execute(enterprise.ODataQuery(quote("Catalog_Номенклатура")).top(3).skip(2))
    seen = {"items": products.items, "metadata": "odata.metadata" in products.raw}
    # It writes a blank as a plus sign; 1C takes none.
    for name, filter in (("blanks", "IsFolder eq true"), ("plain", "not(IsFolder)")):
        query = enterprise.ODataQuery(quote("Catalog_Номенклатура")).filter(filter)
        try:
            seen[name] = client.execute(query).count
        except enterprise.ODataQueryError as error:
            seen[name] = str(error)
    return seen


async def with_aiohttp(server, form):
    async with onec.Infobase(server, "trade", "", "", format=form) as base:
        orders = onec.Document(base, "ЗаказКлиента")
        seen = {"sets": len(await base.entity_sets()), "count": await orders.count()}
        keys = (await base.entity_type_for_set("AccumulationRegister_ТоварыНаСкладах")).keys
        seen["keys"] = list(keys)
        rows = [row async for row in orders.iterate(page_size=17)]
        seen["rows"] = [[row["Ref_Key"], row["Number"], str(row["СуммаДокумента"]), row["Posted"]] for row in rows]
        # Its reader of Atom knows no lines.
        if form == "json":
            seen["line"] = rows[0]["Товары"][0]
        one = await orders.get(rows[3]["Ref_Key"])
        seen["one"] = {"Number": one["Number"], "Автор_Type": one["Автор_Type"]}
        page = await orders.query(odata_filter=onec.F("Posted") == True, top=5, inlinecount=True)  # noqa: E712
        seen["posted"] = [page.count, len(page.value)]
        try:
            await orders.get("41aa6331-954f-11e3-814b-005056c00008")
        except EntityNotFound as error:
            seen["missing"] = [error.status, error.internal_code]
        try:
            await onec.Catalog(base, "Номенклатура").query(odata_filter="tolower(Code) eq 'a'")
        except ODataError as error:
            seen["refused"] = [error.status, error.internal_code]
        if form == "json":
            stock = await onec.AccumulationRegister(base, "ТоварыНаСкладах").balance()
            seen["stock"] = len(stock["value"])
            prices = await onec.InformationRegister(base, "ЦеныНоменклатуры").slice_last(
                period="2026-02-01T00:00:00", condition=onec.F("Цена") > 100)
            seen["prices"] = len(prices["value"])
            seen["written"] = await write(base, orders, one)
        return seen


async def write(base, orders, example):
    made = await orders.create(
        {"Date": "2026-03-20T00:00:00", "Контрагент_Key": example["Контрагент_Key"],
         "Склад_Key": example["Склад_Key"], "Комментарий": "из Python",
         "Товары": [{"LineNumber": 1, "Номенклатура_Key": example["Товары"][0]["Номенклатура_Key"], "Количество": 2.5}]},
        posting_mode=onec.PostingMode.POST)
    key = made["Ref_Key"]
    posted = await orders.get(key)
    await orders.unpost(key)
    await orders.edit(key, {"DeletionMark": True})
    marked = await orders.get(key)
    await orders.delete(key)
    return {"lines": len(posted["Товары"]), "posted": posted["Posted"], "marked": marked["DeletionMark"],
            "unposted": not marked["Posted"], "left": await orders.count()}


async def main():
    server = sys.argv[1]
    print(json.dumps({
        "urllib": with_urllib(f"{server}/trade/odata/standard.odata"),
        "json": await with_aiohttp(server, "json"),
        "atom": await with_aiohttp(server, "atom"),
    }))


asyncio.run(main())
