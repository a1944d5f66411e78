//! Lists, virtual tables and exchange plans.

use super::*;

#[tokio::test]
async fn filters_orders_and_pages() {
    let (_simulator, client) = started().await;
    let count = async |filter: &str| {
        let text = client.text(&format!("{ORDERS}/$count?$filter={filter}")).await;
        text.strip_prefix('\u{feff}').expect("a byte order mark").parse::<usize>().unwrap()
    };
    assert_eq!(count("Posted eq true").await + count("not (Posted eq true)").await, 100);
    assert_eq!(count("Date ge datetime'2026-01-01T00:10:00' and Date lt datetime'2026-01-01T00:20:00'").await, 10);
    assert_eq!(count("startswith(Number,'УТ-00000') and year(Date) eq 2026").await, 9);
    assert_eq!(count("substringof('0010', Number)").await, 2, "000010 and 000100");
    assert!(count("Товары/any(d: d/Количество mul 2 gt 20)").await > 0);
    let first = client.json(&format!("{ORDERS}?$format=json&$top=1")).await["value"][0].clone();
    let partner = first["Контрагент_Key"].as_str().unwrap();
    assert!(count(&format!("Контрагент_Key eq guid'{partner}'")).await > 0);
    let based = "ДокументОснование ne null";
    let base = client
        .json(&format!("{ORDERS}?$format=json&$filter={based} and isof(ДокументОснование,'Document_ЗаказКлиента')"))
        .await;
    let base = base["value"][0]["ДокументОснование"].as_str().unwrap();
    assert_eq!(count(&format!("ДокументОснование eq guid'{base}'")).await, 0, "silently nothing");
    assert_eq!(count(&format!("ДокументОснование eq cast(guid'{base}','Document_ЗаказКлиента')")).await, 1);

    let mut pages = Vec::new();
    for skip in (0..).step_by(30) {
        let page = client
            .json(&format!("{PRODUCTS}?$format=json&$orderby=Ref_Key&$top=30&$skip={skip}&$select=Ref_Key,Description"))
            .await;
        let page = page["value"].as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    let names: Vec<&str> = pages.iter().map(|item| item["Description"].as_str().unwrap()).collect();
    let references: Vec<&str> = pages.iter().map(|item| item["Ref_Key"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 62);
    assert!(names.is_sorted(), "ordered by what people see");
    assert!(!references.is_sorted());
    let expanded = client
        .json(&format!("{ORDERS}?$format=json&$top=1&$expand=Контрагент&$select=Number,Контрагент____Presentation"))
        .await;
    let order = &expanded["value"][0];
    assert_eq!(order["Контрагент"]["Description"], order["Контрагент____Presentation"]);
    assert_eq!(order.get("Товары"), None);
}

#[tokio::test]
async fn virtual_tables_count() {
    let (simulator, client) = started().await;
    let stock = "AccumulationRegister_ТоварыНаСкладах";
    let all = client.json(&format!("{stock}/BalanceAndTurnovers(Dimensions='Склад')?$format=json")).await;
    let number = |value: &serde_json::Value| value.to_string().parse::<f64>().unwrap();
    let mut sum = 0.0;
    for row in all["value"].as_array().unwrap() {
        sum += number(&row["ВНаличииReceipt"]) - number(&row["ВНаличииExpense"]);
        assert_eq!(number(&row["ВНаличииTurnover"]), number(&row["ВНаличииClosingBalance"]));
    }
    let balance = client.json(&format!("{stock}/Balance()?$format=json")).await;
    let balance = balance["value"].as_array().unwrap().clone();
    let total: f64 = balance.iter().map(|row| number(&row["ВНаличииBalance"])).sum();
    assert!((total - sum).abs() < 1e-6, "{total} {sum}");
    let product = balance[0]["Номенклатура_Key"].as_str().unwrap();
    let filtered = [
        format!("{stock}/Balance(Condition='Номенклатура_Key eq guid'{product}'')?$format=json"),
        format!("{stock}/Balance()?$format=json&Condition='Номенклатура_Key eq guid''{product}'''"),
        format!("{stock}/Balance()?$format=json&$filter=Номенклатура_Key eq guid'{product}'"),
    ];
    let expected: Vec<_> = balance.iter().filter(|row| row["Номенклатура_Key"] == product).cloned().collect();
    for path in filtered {
        assert_eq!(client.json(&path).await["value"], json!(expected), "{path}");
    }

    let prices = "InformationRegister_ЦеныНоменклатуры";
    let before = client.json(&format!("{prices}/SliceLast()?$format=json")).await["value"].clone();
    let price = before[0].clone();
    let mut newer = price.as_object().unwrap().clone();
    newer.insert("Period".into(), json!("2026-03-01T00:00:00"));
    let newer_price: Value = serde_json::from_str("77.77").unwrap();
    newer.insert("Цена".into(), newer_price.clone());
    simulator.write(prices, "", newer.into()).unwrap();
    let after = client.json(&format!("{prices}/SliceLast()?$format=json")).await["value"].clone();
    assert_eq!(after.as_array().unwrap().len(), before.as_array().unwrap().len());
    assert!(after.as_array().unwrap().iter().any(|row| row["Цена"] == newer_price));
    let earlier = client.json(&format!("{prices}/SliceLast(Period=datetime'2026-02-01T00:00:00')?$format=json")).await;
    assert_eq!(earlier["value"], before);
    let states = client.json("InformationRegister_СостоянияЗаказов_RecordType/SliceLast()?$format=json").await;
    assert!(!states["value"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn changes_come_until_they_are_notified() {
    let (simulator, client) = started().await;
    assert!(!client.select(1).await.contains("<entry>"));
    let order =
        client.json(&format!("{ORDERS}?$format=json&$top=1")).await["value"][0]["Ref_Key"].as_str().unwrap().to_owned();
    let key = format!("guid'{order}'");
    simulator.write(ORDERS, &key, json!({ "Комментарий": "раз" })).unwrap();
    let first = client.select(2).await;
    assert!(first.contains(&format!("{ORDERS}({key})</id>")));
    assert!(first.contains("<d:Комментарий>раз</d:Комментарий>"));
    let recorder = format!(
        "AccumulationRegister_ТоварыНаСкладах(Recorder='{order}', Recorder_Type='StandardODATA.{ORDERS}')</id>"
    );
    assert!(first.contains(&recorder), "{first}");
    assert!(
        !first.contains("<d:Ref_Key>7a616b00-0001-11ec-9a5b-2545f4914f6d</d:Ref_Key>\n\t\t\t"),
        "no owner in lines"
    );

    simulator.write(ORDERS, &key, json!({ "Комментарий": "два", "Posted": false })).unwrap();
    client.notify(2).await;
    let second = client.select(3).await;
    assert!(second.contains("<d:Комментарий>два</d:Комментарий>"), "a change between the two calls survives");
    assert!(
        second.contains(
            "<d:RecordSet m:type=\"Collection(StandardODATA.AccumulationRegister_ТоварыНаСкладах_RowType)\"/>"
        )
    );
    assert_eq!(client.select(4).await, second, "until it is notified");
    client.notify(4).await;
    assert!(!client.select(5).await.contains("<entry>"));

    assert_eq!(client.send(reqwest::Method::DELETE, &format!("{ORDERS}({key})"), None).await.status, 204);
    let gone = client.select(6).await;
    assert!(
        gone.contains(&format!("\t<at:deleted-entry ref=\"{}/{ORDERS}({key})\"\r\n\t\t\twhen=\"", simulator.url()))
    );
    let node = client.json(&format!("ExchangePlan_ШинаДанных(guid'{}')?$format=json", simulator.node())).await;
    assert_eq!((&node["SentNo"], &node["ReceivedNo"]), (&json!("6"), &json!("4")));
    let own = client.json("ExchangePlan_ШинаДанных?$format=json&$filter=ThisNode eq true").await;
    let own = own["value"][0]["Ref_Key"].as_str().unwrap().to_owned();
    assert_eq!(client.plan("SelectChanges", &own, 1).await.status, 500);
}
